//! Tests that must pass on every device; `FRICTION_TEST_BACKEND` names it. One binary, so that it can be copied to a
//! machine without a compiler.
#![allow(missing_docs, clippy::unwrap_used)]
mod decoder;
mod families;
mod fused;
mod parity;
mod tiny;
mod untied;
use friction_core::manifest::BackendKind;
use friction_model::{device, testing};

#[test]
fn a_device_that_is_not_there_is_an_error_that_says_why() {
    let kind = testing::backend().unwrap();
    let said = device::open(kind, 15).err().unwrap().to_string();
    if kind == BackendKind::Cpu {
        assert!(said.contains("has only device 0, not 15"), "{said}");
    } else {
        let why = said.split_once("no usable device 15 on this machine: ").unwrap().1;
        assert!(why.find("; check the driver").unwrap() > 0, "{said}");
    }
}
