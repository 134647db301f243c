//! NumPy's archives (`.npz`): a zip archive of arrays, each of a header and its numbers (versions 1 to 3 of the format
//! `.npy`). The numbers stay in the file.
use crate::layout::{Dtype, Layout, column_major, product, row_major};
use crate::zip::{self, Zip, plain};
use std::collections::BTreeMap;

/// Longest header of an array, in bytes.
const LONGEST: usize = 1 << 16;

/// Reads the names and places of an archive's arrays.
///
/// # Errors
/// When it is no archive, or an array is compressed, not of floats or integers, or not whole.
pub fn read(bytes: &[u8]) -> Result<BTreeMap<String, Layout>, String> {
    if !zip::begins(bytes) {
        return Err("is no archive of NumPy (`numpy.savez`): fetch the file again".into());
    }
    let archive = Zip::open(bytes)?;
    let array = |entry: &str| {
        let name = entry.strip_suffix(".npy").ok_or("is no array of NumPy")?;
        let range = archive.range(entry)?;
        Ok((name.to_string(), layout(&bytes[range.clone()], range.start)?))
    };
    let named = |entry: &str| array(entry).map_err(|what: String| format!("its entry `{}`: {what}", plain(entry)));
    archive.names().map(named).collect()
}

/// Where the numbers of an array lie, whose first byte is at `start` of the file.
fn layout(bytes: &[u8], start: usize) -> Result<Layout, String> {
    let head = bytes.get(..8).filter(|h| h.starts_with(b"\x93NUMPY")).ok_or("is no array of NumPy")?;
    let wide = match head[6] {
        1 => 2,
        2 | 3 => 4,
        other => return Err(format!("is an array of version {other}; 1 to 3 are read")),
    };
    let early = || "ends early: fetch the file again".to_string();
    let mut length = [0; 4];
    length[..wide].copy_from_slice(bytes.get(8..8 + wide).ok_or_else(early)?);
    let length = usize::try_from(u32::from_le_bytes(length)).ok().filter(|n| *n <= LONGEST);
    let from = 8 + wide;
    let to = from + length.ok_or_else(|| format!("has a header of more than {LONGEST} bytes"))?;
    let header = std::str::from_utf8(bytes.get(from..to).ok_or_else(early)?);
    let header = Header::of(header.map_err(|_| "has a header that is no UTF-8")?)?;
    let strides = if header.fortran { column_major(&header.shape) } else { row_major(&header.shape) };
    let (count, rest) = (product(&header.shape), (bytes.len() - to) / header.dtype.size());
    let (Some(count), Some(strides)) = (count, strides) else {
        return Err(format!("has the shape {:?}: too large for this machine", header.shape));
    };
    if count > rest {
        return Err(format!("should hold {count} numbers, but holds {rest}: fetch the file again"));
    }
    Layout::new(header.dtype, start + to, count, 0, header.shape, strides)
}

/// An array's header: a dict of Python with the keys `descr`, `fortran_order` and `shape`.
struct Header {
    dtype: Dtype,
    fortran: bool,
    shape: Vec<usize>,
}

impl Header {
    fn of(text: &str) -> Result<Self, String> {
        let wrong = || format!("has a header that is not understood: {}", plain(text));
        let mut rest = Literal(text.trim_ascii_end());
        let (mut dtype, mut fortran, mut shape) = (None, None, None);
        rest.eat("{").ok_or_else(wrong)?;
        while rest.eat("}").is_none() {
            let key = rest.quoted().ok_or_else(wrong)?;
            rest.eat(":").ok_or_else(wrong)?;
            match key {
                "descr" => dtype = Some(number(rest.quoted().ok_or("has named fields; arrays of numbers are read")?)?),
                "fortran_order" => fortran = Some(rest.flag().ok_or_else(wrong)?),
                "shape" => shape = Some(rest.sizes().ok_or_else(wrong)?),
                _ => return Err(wrong()),
            }
            // A comma may also follow the last key.
            if rest.eat(",").is_none() {
                rest.eat("}").ok_or_else(wrong)?;
                break;
            }
        }
        match (dtype, fortran, shape) {
            (Some(dtype), Some(fortran), Some(shape)) if rest.0.trim_ascii().is_empty() => {
                Ok(Self { dtype, fortran, shape })
            }
            _ => Err(wrong()),
        }
    }
}

/// The type of numbers that NumPy's description means: byte order, kind, bytes of a number.
fn number(description: &str) -> Result<Dtype, String> {
    Ok(match description {
        "<f8" => Dtype::F64,
        "<f4" => Dtype::F32,
        "<f2" => Dtype::F16,
        "<i8" => Dtype::I64,
        "<i4" => Dtype::I32,
        "<i2" => Dtype::I16,
        "|i1" => Dtype::I8,
        "|u1" => Dtype::U8,
        "|b1" => Dtype::Bool,
        "|O" => return Err("holds Python objects, which are not read, because that would run them".into()),
        other if other.starts_with('>') => {
            return Err(format!("holds big-endian numbers (`{}`), which are not read", plain(other)));
        }
        other => return Err(format!("holds numbers of type `{}`; floats and integers are read", plain(other))),
    })
}

/// The rest of a literal of Python.
struct Literal<'a>(&'a str);

impl<'a> Literal<'a> {
    /// Takes a word after white space.
    fn eat(&mut self, word: &str) -> Option<()> {
        self.0 = self.0.trim_ascii_start().strip_prefix(word)?;
        Some(())
    }

    fn quoted(&mut self) -> Option<&'a str> {
        let rest = self.0.trim_ascii_start();
        let quote = rest.chars().next().filter(|c| ['\'', '"'].contains(c))?;
        let (inside, after) = rest[1..].split_once(quote)?;
        self.0 = after;
        // The descriptions that are read have no escapes.
        (!inside.contains('\\')).then_some(inside)
    }

    fn flag(&mut self) -> Option<bool> {
        match self.eat("True") {
            Some(()) => Some(true),
            None => self.eat("False").map(|()| false),
        }
    }

    /// A tuple of sizes.
    fn sizes(&mut self) -> Option<Vec<usize>> {
        let (inside, after) = self.0.trim_ascii_start().strip_prefix('(')?.split_once(')')?;
        self.0 = after;
        let inside = inside.trim_ascii();
        // A tuple of one has a comma after it; none is between brackets alone.
        let all = inside.strip_suffix(',').unwrap_or(inside);
        if all.is_empty() {
            return inside.is_empty().then(Vec::new);
        }
        all.split(',').map(|n| n.trim_ascii().parse().ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::layout::testing::numbers;
    use crate::zip::testing::{archive, unsummed};

    /// An array as NumPy writes it, its header padded to a multiple of 64 bytes.
    fn npy(version: u8, header: &str, data: &[u8]) -> Vec<u8> {
        let wide = if version == 1 { 2 } else { 4 };
        let length = header.len() + 1 + (64 - (8 + wide + header.len() + 1) % 64) % 64;
        let head = [b"\x93NUMPY", &[version, 0][..], &(length as u32).to_le_bytes()[..wide]].concat();
        let header = format!("{header:<width$}\n", width = length - 1);
        [head, header.into_bytes(), data.to_vec()].concat()
    }

    fn header(descr: &str, fortran: &str, shape: &str) -> String {
        format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}")
    }

    fn one(array: &[u8]) -> Result<(Layout, Vec<u8>), String> {
        let bytes = archive(&[("w.npy", array)], true);
        let mut all = read(&bytes)?;
        Ok((all.remove("w").unwrap(), bytes))
    }

    #[test]
    fn arrays_of_every_version_and_order() {
        let singles: Vec<u8> = (0..6u8).flat_map(|v| f32::from(v).to_le_bytes()).collect();
        let doubles: Vec<u8> = (0..6u8).flat_map(|v| f64::from(v).to_le_bytes()).collect();
        let halves: Vec<u8> =
            [0x0000u16, 0x3c00, 0x4000, 0x4200, 0x4400, 0xc500].iter().flat_map(|v| v.to_le_bytes()).collect();
        for version in 1..=3 {
            for (header, data, shape, want) in [
                (header("<f4", "False", "(2, 3)"), &singles, &[2, 3][..], [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]),
                (header("<f4", "True", "(2, 3)"), &singles, &[2, 3], [0.0, 2.0, 4.0, 1.0, 3.0, 5.0]),
                (header("<f8", "False", "(6,)"), &doubles, &[6], [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]),
                (header("<f2", "False", "(3, 2)"), &halves, &[3, 2], [0.0, 1.0, 2.0, 3.0, 4.0, -5.0]),
                (
                    "{\"shape\":(6),\"descr\":'<f4','fortran_order':False}".into(),
                    &singles,
                    &[6],
                    [0.0, 1.0, 2.0, 3.0, 4.0, 5.0],
                ),
            ] {
                let (layout, bytes) = one(&npy(version, &header, data)).unwrap();
                assert_eq!((&layout.shape[..], numbers(&layout, &bytes)), (shape, want.to_vec()), "{header}");
            }
        }
        let (scalar, bytes) = one(&npy(1, &header("<i8", "False", "()"), &7i64.to_le_bytes())).unwrap();
        assert_eq!((scalar.shape.len(), numbers(&scalar, &bytes)), (0, vec![7.0]));
        let (none, _) = one(&npy(1, &header("<f4", "False", "(0, 5)"), &[])).unwrap();
        assert_eq!(none.len(), 0);
    }

    /// `numpy.savez(file, w=numpy.float32([[1, 2], [3, 4]]).T, k=numpy.int64(5))` of NumPy 1.24.
    const GOLDEN: &str = include_str!("../tests/data/npz.txt");

    fn golden() -> Vec<u8> {
        let hex = GOLDEN.trim();
        (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect()
    }

    #[test]
    fn an_archive_of_numpy() {
        let bytes = golden();
        let all = read(&bytes).unwrap();
        let names: Vec<&str> = all.keys().map(String::as_str).collect();
        assert_eq!((names, &all["w"].shape[..]), (vec!["k", "w"], &[2, 2][..]));
        assert_eq!((numbers(&all["w"], &bytes), numbers(&all["k"], &bytes)), (vec![1.0, 3.0, 2.0, 4.0], vec![5.0]));
        assert!(!all["w"].is_contiguous(), "the columns were written one after the other");
        let mut damaged = bytes;
        let one = damaged.windows(4).position(|w| w == 1f32.to_le_bytes()).unwrap();
        damaged[one] ^= 1;
        assert!(read(&damaged).unwrap_err().contains("`w.npy` is damaged"));
    }

    #[test]
    fn what_is_not_read_is_refused_by_its_name() {
        let f4 = |order: &str, shape: &str| npy(1, &header("<f4", order, shape), &[0; 8]);
        let of = |descr: &str| npy(1, &header(descr, "False", "(1,)"), &[0; 16]);
        for (array, words) in [
            (of(">f4"), "big-endian numbers (`>f4`)"),
            (of("|O"), "Python objects"),
            (of("<c8"), "numbers of type `<c8`"),
            (of("<U4"), "numbers of type `<U4`"),
            (npy(1, "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", &[0; 4]), "named fields"),
            (f4("False", "(3,)"), "should hold 3 numbers, but holds 2"),
            (f4("False", "(4294967296, 4294967296)"), "too large"),
            (f4("False", "(18446744073709551616,)"), "not understood"),
            (f4("False", "(-1,)"), "not understood"),
            (f4("False", "(2"), "not understood"),
            (f4("False", "(,)"), "not understood"),
            (f4("No", "(2,)"), "not understood"),
            (f4("False", "(1, 1, 1, 1, 1, 1, 1, 1, 2)"), "has 9 dimensions"),
            (npy(1, "{'descr': '<f4', 'fortran_order': False}", &[]), "not understood"),
            (npy(1, "{'descr': '<f4', 'x': 1}", &[]), "not understood"),
            (npy(1, "{} x", &[]), "not understood"),
            (npy(1, "\x1b[31m", &[]), "\\u{1b}[31m"),
            (npy(4, "{}", &[]), "an array of version 4"),
            (b"\x93NUMPY\x01".to_vec(), "is no array of NumPy"),
            (b"\x93NUMPY\x01\x00\x07".to_vec(), "ends early"),
            (b"\x93NUMPY\x01\x00\x07\x00{".to_vec(), "ends early"),
            (b"\x93NUMPY\x02\x00\xff\xff\xff\xff".to_vec(), "a header of more than 65536"),
            (b"pickle".to_vec(), "is no array of NumPy"),
        ] {
            let e = one(&array).err().unwrap_or_default();
            assert!(e.contains(words) && e.contains("`w.npy`"), "{e:?} is not {words:?}");
        }
        assert!(read(b"\x93NUMPY").unwrap_err().contains("no archive of NumPy"));
        assert!(read(&archive(&[("w", b"")], false)).unwrap_err().contains("`w`: is no array"));
    }

    /// Every byte changed, and every cut: an error, or arrays within the file.
    #[test]
    fn any_bytes_are_an_error_or_an_archive() {
        let good = unsummed(golden());
        let check = |bytes: &[u8]| {
            for array in read(bytes).unwrap_or_default().values() {
                assert_eq!(numbers(array, bytes).len(), array.len());
            }
        };
        for at in 0..good.len() {
            check(&good[..at]);
            for value in [0, b'0', b'(', b'\'', 0xff, good[at] ^ 1, good[at] ^ 0x20, good[at].wrapping_add(1)] {
                let mut bytes = good.clone();
                bytes[at] = value;
                check(&bytes);
            }
        }
    }
}
