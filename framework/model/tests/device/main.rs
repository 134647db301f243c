//! What holds on every device: `FRICTION_TEST_BACKEND` names it. One program, so that it can be carried to a machine
//! that builds nothing.
#![allow(missing_docs, clippy::unwrap_used)]
mod decoder;
mod fused;
mod parity;
