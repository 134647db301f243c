//! Files that PyTorch wrote, pickles made by hand, and broken ones.
#![allow(clippy::unwrap_used)]
use super::*;
use crate::layout::testing::numbers;
use crate::zip::testing::{archive, unsummed};

/// A file of `tests/torch_oracle.py`.
fn golden(name: &str) -> Vec<u8> {
    let all = include_str!("../../tests/data/torch.txt");
    let hex = all.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(' ')).unwrap();
    (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect()
}

/// The shape and the numbers of a tensor, in eighths.
fn eighths(state: &State, name: &str, bytes: &[u8]) -> (Vec<usize>, Vec<f64>) {
    let layout = &state.tensors[name];
    (layout.shape.clone(), numbers(layout, bytes).into_iter().map(|v| v * 8.0).collect())
}

#[test]
fn files_of_pytorch_are_read_as_it_reads_them() {
    let bytes = golden("protocol2");
    let state = read(&bytes).unwrap();
    assert_eq!(state.others, [("layer".to_string(), "a whole number")].into());
    for (name, shape, want) in [
        ("w", &[2, 3][..], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0][..]),
        ("transposed", &[3, 2], &[0.0, 3.0, 1.0, 4.0, 2.0, 5.0]),
        ("column", &[2], &[1.0, 4.0]),
        ("half", &[2, 2], &[1.0, 2.0, 4.0, 5.0]),
        ("bfloat", &[3], &[3.0, 4.0, 5.0]),
        ("k", &[], &[400.0]),
    ] {
        assert_eq!(eighths(&state, name, &bytes), (shape.to_vec(), want.to_vec()), "{name}");
    }
    assert!(state.tensors["w"].is_contiguous() && !state.tensors["transposed"].is_contiguous());

    let bytes = golden("protocol4");
    let state = read(&bytes).unwrap();
    assert_eq!(state.others, [("name".to_string(), "a text")].into());
    for (name, shape, want) in [
        ("double", &[2, 3][..], &[0.0, -1.0, -2.0, -3.0, -4.0, -5.0][..]),
        ("long", &[2], &[-8.0, 8.0 * (1u64 << 40) as f64]),
        ("parameter", &[3], &[3.0, 4.0, 5.0]),
        ("none", &[0, 4], &[]),
    ] {
        assert_eq!(eighths(&state, name, &bytes), (shape.to_vec(), want.to_vec()), "{name}");
    }

    // The state dict of a module is an OrderedDict with an attribute.
    let bytes = golden("module");
    let state = read(&bytes).unwrap();
    assert_eq!(eighths(&state, "weight", &bytes), (vec![3, 2], vec![0.0, 3.0, 1.0, 4.0, 2.0, 5.0]));
    assert_eq!(eighths(&state, "bias", &bytes), (vec![3], vec![4.0, 2.0, 1.0]));
    assert_eq!((state.tensors.len(), state.others.len()), (2, 0));
}

/// A text of a pickle.
fn text(s: &str) -> Vec<u8> {
    [b"X", &(s.len() as u32).to_le_bytes()[..], s.as_bytes()].concat()
}

/// A pickle of protocol 2 of these parts.
fn pickle(parts: &[&[u8]]) -> Vec<u8> {
    [&[0x80, 2], &parts.concat()[..], b"."].concat()
}

/// A dict with one tensor, whose size and strides are tuples of bytes.
fn one(class: &str, count: u8, offset: u8, size: &[u8], strides: &[u8]) -> Vec<u8> {
    let tuple = |all: &[u8]| [b"(".to_vec(), all.iter().flat_map(|n| [b'K', *n]).collect(), b"t".to_vec()].concat();
    pickle(&[
        b"}",
        &text("w"),
        b"ctorch._utils\n_rebuild_tensor_v2\n(",
        &[&b"("[..], &text("storage"), format!("ctorch\n{class}\n").as_bytes(), &text("0"), &text("cpu")].concat(),
        &[b'K', count, b't', b'Q', b'K', offset],
        &tuple(size),
        &tuple(strides),
        b"\x89ccollections\nOrderedDict\n)RtRs",
    ])
}

/// A file with this pickle and a storage of 12 bytes, as PyTorch from 2.1 on writes it.
fn file(pickle: &[u8]) -> Vec<u8> {
    let entries: [(&str, &[u8]); 6] = [
        ("archive/data.pkl", pickle),
        ("archive/.format_version", b"1"),
        ("archive/byteorder", b"little"),
        ("archive/data/0", &[0, 0, 0, 62, 0, 0, 128, 62, 0, 0, 192, 62]),
        ("archive/version", b"3\n"),
        ("archive/.data/serialization_id", b"12"),
    ];
    archive(&entries, true)
}

fn refusal(pickle: &[u8]) -> String {
    read(&file(pickle)).err().unwrap_or_default()
}

#[test]
fn a_tensor_lies_within_its_storage() {
    let bytes = file(&one("FloatStorage", 3, 1, &[2], &[1]));
    assert_eq!(eighths(&read(&bytes).unwrap(), "w", &bytes), (vec![2], vec![2.0, 3.0]));
    for (pickle, words) in [
        (one("FloatStorage", 4, 0, &[2], &[1]), "`w` needs 4 numbers (float32), but its storage has 12 bytes"),
        (one("DoubleStorage", 3, 0, &[2], &[1]), "`w` needs 3 numbers (float64)"),
        (one("FloatStorage", 3, 2, &[2], &[1]), "`w` of shape [2] reaches beyond the 3 numbers"),
        (one("FloatStorage", 3, 0, &[2, 2], &[2, 1]), "reaches beyond"),
        (one("FloatStorage", 1, 0, &[200], &[0]), "repeats the 1 numbers"),
        (one("FloatStorage", 3, 0, &[2], &[]), "has 1 dimensions but 0 strides"),
        (one("FloatStorage", 3, 0, &[1; 9], &[1; 9]), "a tensor of 9 dimensions"),
        (one("ComplexFloatStorage", 1, 0, &[1], &[1]), "`torch.ComplexFloatStorage`"),
        (one("UntypedStorage", 1, 0, &[1], &[1]), "`torch.UntypedStorage`"),
    ] {
        let e = refusal(&pickle);
        assert!(e.contains(words), "{e:?} is not {words:?}");
    }
}

#[test]
fn nothing_else_is_run_and_it_is_refused_by_its_name() {
    for (parts, words) in [
        (&b"cos\nsystem\n(X\x02\0\0\0lstR"[..], "asks for `os.system`"),
        (b"cposix\nsystem\n", "`posix.system`"),
        (b"c__builtin__\neval\n", "`__builtin__.eval`"),
        (b"ctorch._utils\n_rebuild_tensor_v3\n", "`torch._utils._rebuild_tensor_v3`"),
        (b"ctorch\nSize\n", "`torch.Size`"),
        (b"\x8c\x02os\x8c\x06system\x93", "`os.system`"),
        (b"ca\x1b[31m\nb\n", "`a\\u{1b}[31m.b`"),
        (b"(ios\nsystem\n", "operation INST"),
        (b"\x81", "operation NEWOBJ"),
        (b"(o", "operation OBJ"),
        (b"\x82\x01", "operation EXT"),
        (b"Px\n", "operation PERSID"),
        (b"2", "operation DUP"),
        (b"C\x01x", "operation SHORT_BINBYTES"),
        (b"\x8f", "operation EMPTY_SET"),
        (b"z", "operation 0x7a, which no pickle has"),
        (b"X\x02\0\0\0os)R", "calls a text"),
        (b"ctorch\nFloatStorage\n)R", "is broken"),
        (b"ccollections\nOrderedDict\n]R", "is broken"),
        (b"ccollections\nOrderedDict\nK\x01\x85R", "is broken"),
        (b"]}b", "sets attributes of a list"),
        (b"]K\x01K\x02s", "sets items of a list"),
        (b"}K\x01a", "appends to a dict"),
        (b"(K\x01tQ", "is broken"),
        (b"K\x01Q", "is broken"),
        (b"u", "is broken"),
        (b"}(K\x01u", "is broken"),
        (b"(K\x01s", "is broken"),
        (b"h\x07", "is broken"),
        (b"q\x07", "is broken"),
        (b"\x86", "is broken"),
        (b"", "is broken"),
        (b"X\xff\xff\xff\xff", "ends early"),
        (b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff", "ends early"),
        (b"\x8a\x09123456789", "a whole number of 9 bytes"),
        (b"\x8c\x01\xff", "no UTF-8"),
        (b"cos", "ends early"),
        (b"K\x01", "holds a whole number, not a state dict"),
        (b"]", "holds a list, not a state dict"),
        (b"}K\x01Ns", "has a whole number where a name should be"),
    ] {
        let e = refusal(&pickle(&[parts]));
        assert!(e.contains(words), "{e:?} is not {words:?}");
    }
    assert!(refusal(b"\x80\x05N.").contains("protocol 5"));
    assert!(refusal(b"\x80\x01N.").contains("protocol 1"));
    assert!(refusal(b"(dp0\n.").contains("no pickle of protocol 2 to 4"));
    assert!(refusal(&[0x80]).contains("ends early"));
    assert!(
        refusal(&[b"\x80\x02}".to_vec(), text(&"x".repeat(1001)), b"Ns.".to_vec()].concat()).contains("1001 bytes")
    );
    assert!(refusal(&vec![b'N'; (1 << 20) + 1]).contains("bytes long"));
    // A pickle may not grow without end.
    assert!(refusal(&pickle(&[&b"N".repeat(300_000)])).contains("more than 262144 values"));
    assert!(refusal(&pickle(&[&b"(".repeat(300_000)])).contains("is broken"));
}

#[test]
fn values_that_hold_themselves_or_each_other_are_no_trouble() {
    // A list within itself, and beside it lists that each hold the one before twice: 2^199 values, were they copied.
    let mut parts = b"(]q\x00h\x00a".to_vec();
    for i in 1..200u8 {
        parts.extend([b']', b'q', i, b'(', b'h', i - 1, b'h', i - 1, b'e']);
    }
    parts.push(b'l');
    let dict = [&b"}"[..], &text("x"), &parts, b"s", &text("x"), b"Ns", &text("y"), b"\x88s"].concat();
    let state = read(&file(&pickle(&[&dict]))).unwrap();
    let others: Vec<_> = state.others.iter().map(|(k, v)| (k.as_str(), *v)).collect();
    assert_eq!(others, [("x", "None"), ("y", "a bool")]);
}

#[test]
fn what_is_no_file_of_torch_save_is_refused() {
    let told = |bytes: &[u8]| read(bytes).err().unwrap();
    assert!(told(&OLD).contains("before 1.6"));
    assert!(told(b"").contains("no archive of `torch.save`"));
    assert!(told(&archive(&[("x/mydata.pkl", b"")], false)).contains("lacks the entry `data.pkl`"));
    let pickle = pickle(&[b"}"]);
    let more = |name, data| told(&archive(&[("x/data.pkl", &pickle[..]), (name, data)], true));
    assert!(more("x/byteorder", b"big").contains("big-endian"));
    assert!(more("x/constants.pkl", b"").contains("TorchScript"));
    assert!(more("y/data.pkl", b"").contains("lacks the entry `data.pkl`"));
    let lacking = archive(&[("x/data.pkl", &one("FloatStorage", 3, 0, &[1], &[1]))], true);
    assert!(told(&lacking).contains("`w` cannot be read: lacks the entry `x/data/0`"));
}

/// Every byte changed, and every cut: an error, or tensors within the file.
#[test]
fn any_bytes_are_an_error_or_a_state_dict() {
    let goods = ["protocol2", "protocol4", "module"].map(|name| unsummed(golden(name)));
    for good in goods.iter().chain([&file(&one("FloatStorage", 3, 1, &[2], &[1]))]) {
        let check = |bytes: &[u8]| {
            if let Ok(state) = read(bytes) {
                state.tensors.values().for_each(|t| assert_eq!(numbers(t, bytes).len(), t.len()));
            }
        };
        for at in 0..good.len() {
            check(&good[..at]);
            for value in [0, 1, b'(', b'R', 0x80, 0xff, good[at] ^ 1, good[at] ^ 0x20, good[at].wrapping_add(1)] {
                let mut bytes = good.clone();
                bytes[at] = value;
                check(&bytes);
            }
        }
    }
}
