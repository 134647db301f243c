//! Zip archives whose entries are stored as they are, as `torch.save` and `numpy.savez` write them, with zip64. Nothing is
//! unpacked: an entry is a range of the file's bytes, which stay mapped. Their CRC-32 is computed
//! whenever they are asked for.
use std::collections::BTreeMap;
use std::ops::Range;

/// Most entries of an archive. Files of tensors have one for each tensor.
const MOST_ENTRIES: usize = 1 << 16;
/// Longest comment at the end of an archive.
const LONGEST_COMMENT: usize = 0xffff;
/// Length of the record at the end of an archive, without its comment.
const END: usize = 22;
/// Length of an entry of the directory, without its name.
const ENTRY: usize = 46;
/// Length of the header before an entry's data, without its name.
const HEADER: usize = 30;

/// An entry, as the directory describes it.
struct Entry {
    encrypted: bool,
    method: u16,
    /// CRC-32 of its bytes; 0 where the archive was written without.
    sum: u32,
    compressed: u64,
    size: u64,
    header: u64,
}

/// The entries of an archive, by name.
pub struct Zip<'a> {
    bytes: &'a [u8],
    entries: BTreeMap<&'a str, Entry>,
    /// Where the directory begins; no entry reaches beyond it.
    directory: usize,
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

fn is(bytes: &[u8], at: usize, signature: &[u8; 4]) -> bool {
    at.checked_add(4).and_then(|end| bytes.get(at..end)) == Some(signature)
}

/// Whether a file begins as an archive does.
pub fn begins(bytes: &[u8]) -> bool {
    is(bytes, 0, b"PK\x03\x04") || is(bytes, 0, b"PK\x05\x06")
}

/// Where the directory lies, and how many entries it has.
struct Directory {
    start: u64,
    length: u64,
    count: u64,
}

/// Finds the directory by the record at the archive's end.
fn directory(bytes: &[u8]) -> Option<Directory> {
    let last = bytes.len().checked_sub(END)?;
    let end = (last.saturating_sub(LONGEST_COMMENT)..=last)
        .rev()
        .find(|at| is(bytes, *at, b"PK\x05\x06") && u16_at(bytes, at + 20).map(usize::from) == Some(last - at))?;
    let small = Directory {
        start: u32_at(bytes, end + 16)?.into(),
        length: u32_at(bytes, end + 12)?.into(),
        count: u16_at(bytes, end + 10)?.into(),
    };
    // Zip64 puts larger numbers into a record of its own, and where that record is right before this one.
    let Some(locator) = end.checked_sub(20).filter(|at| is(bytes, *at, b"PK\x06\x07")) else { return Some(small) };
    let at = usize::try_from(u64_at(bytes, locator + 8)?).ok()?;
    if !is(bytes, at, b"PK\x06\x06") {
        return None;
    }
    Some(Directory {
        start: u64_at(bytes, at.checked_add(48)?)?,
        length: u64_at(bytes, at.checked_add(40)?)?,
        count: u64_at(bytes, at.checked_add(32)?)?,
    })
}

/// Replaces the numbers of an entry that do not fit 32 bits by those of its zip64 field.
fn widen(entry: &mut Entry, mut extra: &[u8]) -> Option<()> {
    while extra.len() >= 4 {
        let (id, length) = (u16_at(extra, 0)?, usize::from(u16_at(extra, 2)?));
        let field = extra.get(4..4 + length)?;
        if id == 1 {
            let mut at = 0;
            for number in [&mut entry.size, &mut entry.compressed, &mut entry.header] {
                if *number == u64::from(u32::MAX) {
                    *number = u64_at(field, at)?;
                    at += 8;
                }
            }
        }
        extra = &extra[4 + length..];
    }
    Some(())
}

impl<'a> Zip<'a> {
    /// Reads the directory of an archive.
    ///
    /// # Errors
    /// When it is no whole zip archive, or two entries have one name.
    pub fn open(bytes: &'a [u8]) -> Result<Self, String> {
        let torn = || "its directory is broken: fetch the file again".to_string();
        let of = directory(bytes).ok_or("is no whole zip archive: fetch the file again")?;
        let start = usize::try_from(of.start).map_err(|_| torn())?;
        let length = usize::try_from(of.length).map_err(|_| torn())?;
        let end = start.checked_add(length).filter(|end| *end <= bytes.len()).ok_or_else(torn)?;
        let count = usize::try_from(of.count).map_err(|_| torn())?;
        if count > MOST_ENTRIES {
            return Err(format!("has {count} entries: no file of tensors"));
        }
        let (mut entries, mut rest) = (BTreeMap::new(), &bytes[start..end]);
        for _ in 0..count {
            let (name, entry, length) = Self::entry(rest).ok_or_else(torn)?;
            if entries.insert(name, entry).is_some() {
                return Err(format!("two entries are called `{}`", plain(name)));
            }
            rest = &rest[length..];
        }
        Ok(Self { bytes, entries, directory: start })
    }

    /// The first entry of a directory, and its length there.
    fn entry(of: &'a [u8]) -> Option<(&'a str, Entry, usize)> {
        if !is(of, 0, b"PK\x01\x02") {
            return None;
        }
        let length = |at: usize| u16_at(of, at).map(usize::from);
        let (name, extra, comment) = (length(28)?, length(30)?, length(32)?);
        let whole = ENTRY + name + extra + comment;
        let field = of.get(ENTRY + name..ENTRY + name + extra).filter(|_| of.len() >= whole)?;
        let mut entry = Entry {
            encrypted: u16_at(of, 8)? & 1 != 0,
            method: u16_at(of, 10)?,
            sum: u32_at(of, 16)?,
            compressed: u32_at(of, 20)?.into(),
            size: u32_at(of, 24)?.into(),
            header: u32_at(of, 42)?.into(),
        };
        widen(&mut entry, field)?;
        Some((std::str::from_utf8(&of[ENTRY..ENTRY + name]).ok()?, entry, whole))
    }

    /// The names of its entries, sorted.
    pub fn names(&self) -> impl Iterator<Item = &'a str> + '_ {
        self.entries.keys().copied()
    }

    /// Whether it has an entry called `name`.
    pub fn has(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// The bytes of an entry in the file.
    ///
    /// # Errors
    /// When there is no such entry, it is compressed or encrypted, it does not lie within the file, or its bytes are not those
    /// that were written.
    pub fn range(&self, name: &str) -> Result<Range<usize>, String> {
        let shown = plain(name);
        let entry = self.entries.get(name).ok_or_else(|| format!("lacks the entry `{shown}`"))?;
        if entry.encrypted {
            return Err(format!("the entry `{shown}` is encrypted"));
        }
        match entry.method {
            0 => {}
            8 => {
                return Err(format!(
                    "the entry `{shown}` is deflated; only stored entries are read: write the file again without compression (`numpy.savez`, `torch.save`)"
                ));
            }
            other => {
                return Err(format!(
                    "the entry `{shown}` is compressed by method {other}; only stored entries are read"
                ));
            }
        }
        let again = "fetch the file again";
        let range = self.stored(name, entry).ok_or_else(|| format!("the entry `{shown}` is broken: {again}"))?;
        // PyTorch can be told to compute no sums.
        if entry.sum == 0 {
            return Ok(range);
        }
        match crc32fast::hash(&self.bytes[range.clone()]) {
            sum if sum == entry.sum => Ok(range),
            sum => {
                let said = entry.sum;
                Err(format!(
                    "the entry `{shown}` is damaged: its CRC-32 should be {said:08x} and is {sum:08x}: {again}"
                ))
            }
        }
    }

    fn stored(&self, name: &str, entry: &Entry) -> Option<Range<usize>> {
        let header = usize::try_from(entry.header).ok()?;
        if !is(self.bytes, header, b"PK\x03\x04") || entry.size != entry.compressed {
            return None;
        }
        let length = |at: usize| u16_at(self.bytes, header.checked_add(at)?).map(usize::from);
        let (own, extra) = (length(26)?, length(28)?);
        let from = header.checked_add(HEADER)?;
        // The directory and the header before the data name the same entry.
        if self.bytes.get(from..from.checked_add(own)?)? != name.as_bytes() {
            return None;
        }
        let start = from.checked_add(own)?.checked_add(extra)?;
        let end = start.checked_add(usize::try_from(entry.size).ok()?)?;
        (end <= self.directory).then_some(start..end)
    }
}

/// A text of a file as it may be printed: on one line, without control characters, and not too long.
pub fn plain(text: &str) -> String {
    text.chars().take(100).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
pub(crate) mod testing {
    /// An archive of stored entries; `zip64` writes the numbers of that extension, as `torch.save` does.
    pub(crate) fn archive(entries: &[(&str, &[u8])], zip64: bool) -> Vec<u8> {
        let (mut out, mut directory) = (vec![], vec![]);
        for (name, data) in entries {
            let at = out.len() as u64;
            let wide: Vec<u8> =
                [data.len() as u64, data.len() as u64, at].iter().flat_map(|n| n.to_le_bytes()).collect();
            let number = |n: u64| if zip64 { u32::MAX } else { n as u32 }.to_le_bytes();
            let name = name.as_bytes();
            let lengths = [number(data.len() as u64), number(data.len() as u64)].concat();
            out.extend([b"PK\x03\x04".as_slice(), &[0; 14], &lengths, &(name.len() as u16).to_le_bytes()].concat());
            // As torch.save does: a field that moves the data to a multiple of 64 bytes.
            let padding = (64 - (out.len() + 2 + name.len()) % 64) % 64;
            let padding = if (1..4).contains(&padding) { padding + 64 } else { padding };
            out.extend((padding as u16).to_le_bytes());
            out.extend(name);
            if padding > 0 {
                out.extend([b"FB".as_slice(), &(padding as u16 - 4).to_le_bytes(), &vec![b'Z'; padding - 4]].concat());
            }
            out.extend(*data);
            let field = if zip64 { [&[1, 0, 24, 0][..], &wide].concat() } else { vec![] };
            let more = [(name.len() as u16).to_le_bytes(), (field.len() as u16).to_le_bytes()].concat();
            let parts = [b"PK\x01\x02".as_slice(), &[0; 16], &lengths, &more, &[0; 10], &number(at), name, &field];
            directory.extend(parts.concat());
        }
        let (start, length, count) = (out.len() as u64, directory.len() as u64, entries.len());
        out.extend(directory);
        if zip64 {
            let end = out.len() as u64;
            let (count, wide) = ((count as u64).to_le_bytes(), [length.to_le_bytes(), start.to_le_bytes()].concat());
            out.extend([b"PK\x06\x06".as_slice(), &44u64.to_le_bytes(), &[0; 12], &count, &count, &wide].concat());
            out.extend([b"PK\x06\x07".as_slice(), &[0; 4], &end.to_le_bytes(), &[1, 0, 0, 0]].concat());
        }
        let small = [length as u32, start as u32].map(u32::to_le_bytes).concat();
        let count = (count as u16).to_le_bytes();
        out.extend([b"PK\x05\x06".as_slice(), &[0; 4], &count, &count, &small, &[0; 2]].concat());
        out
    }

    /// The same archive without CRC-32s, for tests that change its bytes.
    pub(crate) fn unsummed(mut bytes: Vec<u8>) -> Vec<u8> {
        for at in 0..bytes.len().saturating_sub(20) {
            if bytes[at..].starts_with(b"PK\x01\x02") {
                bytes[at + 16..at + 20].fill(0);
            }
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::testing::archive;
    use super::*;

    const ENTRIES: [(&str, &[u8]); 3] = [("a/one", b"1234"), ("a/none", b""), ("two.npy", b"fifteen bytes..")];

    #[test]
    fn entries_are_ranges_of_the_file() {
        for zip64 in [false, true] {
            let bytes = archive(&ENTRIES, zip64);
            let zip = Zip::open(&bytes).unwrap();
            assert_eq!(zip.names().collect::<Vec<_>>(), ["a/none", "a/one", "two.npy"]);
            for (name, data) in ENTRIES {
                let range = zip.range(name).unwrap();
                assert_eq!((&bytes[range.clone()], range.start % 64), (data, 0), "{name}");
            }
            assert!(zip.has("a/one") && !zip.has("a"));
            assert!(zip.range("three").unwrap_err().contains("lacks the entry `three`"));
        }
    }

    #[test]
    fn what_is_not_stored_is_refused_by_its_name() {
        let bytes = archive(&ENTRIES, false);
        let directory = bytes.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
        for (at, value, words) in [
            (10, 8, "`a/one` is deflated; only stored entries"),
            (10, 14, "`a/one` is compressed by method 14"),
            (8, 1, "`a/one` is encrypted"),
            (24, 5, "`a/one` is broken"),
            (42, 1, "`a/one` is broken"),
        ] {
            let mut other = bytes.clone();
            other[directory + at] = value;
            let zip = Zip::open(&other).unwrap();
            let e = zip.range("a/one").unwrap_err();
            assert!(e.contains(words), "{at}: {e}");
            assert!(zip.range("two.npy").is_ok(), "{at}");
        }
    }

    #[test]
    fn an_entry_whose_bytes_have_changed_is_refused() {
        let mut bytes = archive(&ENTRIES, true);
        let directory = bytes.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
        bytes[directory + 16..directory + 20].copy_from_slice(&0x9be3_e0a3u32.to_le_bytes());
        assert!(Zip::open(&bytes).unwrap().range("a/one").is_ok());
        let at = bytes.windows(4).position(|w| w == b"1234").unwrap();
        bytes[at] = b'2';
        let zip = Zip::open(&bytes).unwrap();
        let e = zip.range("a/one").unwrap_err();
        assert!(e.contains("`a/one` is damaged: its CRC-32 should be 9be3e0a3 and is "), "{e}");
        assert!(zip.range("two.npy").is_ok());
    }

    #[test]
    fn what_is_no_archive_is_refused() {
        for bytes in [b"".as_slice(), b"PK\x03\x04", &[0; 100]] {
            assert!(Zip::open(bytes).err().unwrap().contains("no whole zip archive"));
        }
        let twice = [("x", b"1".as_slice()), ("x", b"2")];
        assert!(Zip::open(&archive(&twice, true)).err().unwrap().contains("two entries are called `x`"));
        assert!(begins(&archive(&twice, false)) && begins(&archive(&[], false)) && !begins(b"PK"));
        let mut many = archive(&[], true);
        many[32..40].copy_from_slice(&(1u64 << 40).to_le_bytes());
        assert!(Zip::open(&many).err().unwrap().contains("no file of tensors"));
        assert_eq!(plain("a\u{1b}[31m\nb"), "a\\u{1b}[31m\\nb");
    }

    /// Every byte changed, and every cut: an error or a range within the file, never a panic.
    #[test]
    fn any_bytes_are_an_error_or_an_archive() {
        for zip64 in [false, true] {
            let good = archive(&ENTRIES, zip64);
            let check = |bytes: &[u8]| {
                if let Ok(zip) = Zip::open(bytes) {
                    for range in zip.names().filter_map(|n| zip.range(n).ok()) {
                        assert!(bytes.get(range).is_some());
                    }
                }
            };
            for at in 0..good.len() {
                check(&good[..at]);
                for value in [0, 1, 0x7f, 0x80, 0xff, good[at] ^ 1, good[at] ^ 0x40] {
                    let mut bytes = good.clone();
                    bytes[at] = value;
                    check(&bytes);
                }
            }
        }
    }
}
