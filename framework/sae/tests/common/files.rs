//! Files of PyTorch and NumPy, written by hand.
#![allow(missing_docs, dead_code)]

/// A zip archive of stored entries.
fn archive(entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    let (mut out, mut directory) = (vec![], vec![]);
    for (name, data) in entries {
        let at = out.len() as u32;
        let sizes = [data.len() as u32, data.len() as u32, name.len() as u32].map(u32::to_le_bytes).concat();
        out.extend([b"PK\x03\x04".as_slice(), &[0; 14], &sizes, name.as_bytes(), data].concat());
        let of = [b"PK\x01\x02".as_slice(), &[0; 16], &sizes, &[0; 10], &at.to_le_bytes(), name.as_bytes()].concat();
        directory.extend(of);
    }
    let count = (entries.len() as u16).to_le_bytes();
    let place = [directory.len() as u32, out.len() as u32].map(u32::to_le_bytes).concat();
    out.extend(directory);
    out.extend([b"PK\x05\x06".as_slice(), &[0; 4], &count, &count, &place, &[0; 2]].concat());
    out
}

/// A tensor of a state dict.
#[derive(Clone)]
pub struct Stored {
    /// Its name.
    pub name: &'static str,
    /// Its dimensions.
    pub shape: Vec<usize>,
    /// How many numbers each index steps over.
    pub strides: Vec<usize>,
    /// PyTorch's class of its storage.
    pub class: &'static str,
    /// The bytes of its storage, and of each number there.
    pub bytes: (Vec<u8>, usize),
}

/// A tensor of f32, contiguous.
pub fn floats(name: &'static str, shape: &[usize], values: &[f32]) -> Stored {
    let strides = (0..shape.len()).map(|i| shape[i + 1..].iter().product()).collect();
    let bytes = (values.iter().flat_map(|v| v.to_le_bytes()).collect(), 4);
    Stored { name, shape: shape.to_vec(), strides, class: "FloatStorage", bytes }
}

/// A matrix of f32, transposed: as a view of the same numbers, or with its own.
pub fn transposed(name: &'static str, [rows, cols]: [usize; 2], values: &[f32], view: bool) -> Stored {
    if view {
        return Stored { strides: vec![1, cols], ..floats(name, &[cols, rows], values) };
    }
    let own: Vec<f32> = (0..cols).flat_map(|c| (0..rows).map(move |r| values[r * cols + c])).collect();
    floats(name, &[cols, rows], &own)
}

/// A single i32.
pub fn whole(name: &'static str, value: i32) -> Stored {
    let bytes = (value.to_le_bytes().to_vec(), 4);
    Stored { name, shape: vec![], strides: vec![], class: "IntStorage", bytes }
}

/// A state dict as `torch.save` writes it.
pub fn torch(tensors: &[Stored]) -> Vec<u8> {
    let text = |s: &str| [b"X", &(s.len() as u32).to_le_bytes()[..], s.as_bytes()].concat();
    let int = |n: usize| [b"J", &(n as u32).to_le_bytes()[..]].concat();
    let tuple = |all: &[usize]| [b"(".to_vec(), all.iter().flat_map(|n| int(*n)).collect(), b"t".to_vec()].concat();
    let mut pickle = b"\x80\x02}(".to_vec();
    let mut entries = vec![];
    for (i, t) in tensors.iter().enumerate() {
        let (key, count) = (i.to_string(), t.bytes.0.len() / t.bytes.1);
        pickle.extend(text(t.name));
        pickle.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        pickle
            .extend([text("storage"), format!("ctorch\n{}\n", t.class).into_bytes(), text(&key), text("cpu")].concat());
        pickle.extend([int(count), b"tQ".to_vec(), int(0), tuple(&t.shape), tuple(&t.strides)].concat());
        pickle.extend(b"\x89ccollections\nOrderedDict\n)RtR");
        entries.push((format!("x/data/{key}"), t.bytes.0.clone()));
    }
    pickle.extend(b"u.");
    entries.insert(0, ("x/data.pkl".to_string(), pickle));
    entries.push(("x/version".into(), b"3\n".to_vec()));
    archive(&entries)
}

/// An archive as `numpy.savez` writes it; `fortran` lays matrices out by columns.
pub fn npz(tensors: &[(&str, Vec<usize>, Vec<f32>)], fortran: bool) -> Vec<u8> {
    let array = |(name, shape, values): &(&str, Vec<usize>, Vec<f32>)| {
        let by_columns = fortran && shape.len() == 2;
        let order = if by_columns { "True" } else { "False" };
        let sizes: String = shape.iter().map(|n| format!("{n}, ")).collect();
        let header = format!("{{'descr': '<f4', 'fortran_order': {order}, 'shape': ({sizes}), }}\n");
        let header = header.replace(", )", ",)");
        let values = match by_columns {
            true => (0..shape[1]).flat_map(|c| (0..shape[0]).map(move |r| values[r * shape[1] + c])).collect(),
            false => values.clone(),
        };
        let head = [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes()].concat();
        (format!("{name}.npy"), [head, values.iter().flat_map(|v| v.to_le_bytes()).collect()].concat())
    };
    archive(&tensors.iter().map(array).collect::<Vec<_>>())
}
