//! State dicts that `torch.save` wrote (`.pt`, `.pth`): a zip archive of a pickle and of each storage's bytes. The pickle is
//! read by `pickle`, which executes nothing; the numbers stay in the file.
mod opcode;
mod pickle;
mod value;

use crate::layout::Layout;
use crate::zip::{self, Zip, plain};
use std::collections::BTreeMap;
use value::{Pickle, Tensor, Value};

/// What a file holds at its top level.
#[derive(Debug)]
pub struct State {
    /// Its tensors.
    pub tensors: BTreeMap<String, Layout>,
    /// Its other values, by what they are: `a dict`, `a text`.
    pub others: BTreeMap<String, &'static str>,
}

/// How a file of PyTorch before 1.6 begins: the pickle of a number.
const OLD: [u8; 14] = [0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// Reads the names and places of a file's tensors.
///
/// # Errors
/// When it is no archive of `torch.save`, its pickle is refused, or a tensor does not lie within its storage.
pub fn read(bytes: &[u8]) -> Result<State, String> {
    if !zip::begins(bytes) {
        return Err(match bytes.starts_with(&OLD) {
            true => "is in PyTorch's format from before 1.6, which is not read: load it in PyTorch and save it again with `torch.save`",
            false => "is no archive of `torch.save`: fetch the file again",
        }
        .into());
    }
    let archive = Zip::open(bytes)?;
    let mut roots =
        archive.names().filter_map(|n| n.strip_suffix("data.pkl")).filter(|r| r.is_empty() || r.ends_with('/'));
    // The archive's own name is the first part of every entry's.
    let root = match (roots.next(), roots.next()) {
        (Some(root), None) => root,
        _ => return Err("is a zip archive, but none of `torch.save`: it lacks the entry `data.pkl`".into()),
    };
    if archive.has(&format!("{root}constants.pkl")) {
        return Err("is a program of TorchScript, which is not read: save the autoencoder's `state_dict()`".into());
    }
    let order = format!("{root}byteorder");
    if archive.has(&order) && bytes[archive.range(&order)?] != *b"little" {
        return Err(
            "was written on a big-endian machine, which is not read: load it in PyTorch there and write safetensors"
                .into(),
        );
    }
    let pickle = pickle::read(&bytes[archive.range(&format!("{root}data.pkl"))?])
        .map_err(|what| format!("its data.pkl {what}"))?;
    state(&pickle, &archive, root)
}

/// The top level of a pickle.
fn state(pickle: &Pickle, archive: &Zip, root: &str) -> Result<State, String> {
    let Value::Dict(dict) = &pickle.values[pickle.root] else {
        return Err(format!("holds {}, not a state dict", pickle.values[pickle.root].kind()));
    };
    let (mut tensors, mut others) = (BTreeMap::new(), BTreeMap::new());
    for (key, value) in dict {
        let name = pickle.name(*key)?;
        // As in Python, the last of equal keys counts.
        tensors.remove(name);
        others.remove(name);
        match &pickle.values[*value] {
            Value::Tensor(t) => {
                let layout = layout(t, pickle, archive, root).map_err(|what| format!("`{}` {what}", plain(name)))?;
                tensors.insert(name.to_string(), layout);
            }
            other => {
                others.insert(name.to_string(), other.kind());
            }
        }
    }
    Ok(State { tensors, others })
}

/// Where a tensor lies in the file.
fn layout(t: &Tensor, pickle: &Pickle, archive: &Zip, root: &str) -> Result<Layout, String> {
    let Value::Storage(dtype, entry, count) = &pickle.values[t.storage] else {
        return Err("has no storage".into());
    };
    let entry = format!("{root}data/{}", pickle.name(*entry)?);
    let range = archive.range(&entry).map_err(|what| format!("cannot be read: {what}"))?;
    if range.len() / dtype.size() < *count {
        return Err(format!("needs {count} numbers ({}), but its storage has {} bytes", dtype.name(), range.len()));
    }
    Layout::new(*dtype, range.start, *count, t.offset, t.shape.clone(), t.strides.clone())
}

#[cfg(test)]
mod tests;
