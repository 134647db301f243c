//! The part of Thrift's compact protocol that is needed to inspect Parquet headers before trusting them.

/// Deepest nesting that is followed.
const DEPTH: usize = 24;

/// What [`Reader::structure`] reports while it reads.
pub(crate) enum Met<'a> {
    /// A struct inside a list begins; the field ids that lead to it.
    Structure(&'a [i16]),
    /// An integer or a boolean (0 or 1); the field ids that lead to it, and its value.
    Number(&'a [i16], i64),
}

/// A cursor over bytes, with the field ids of the value that is being read.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    path: Vec<i16>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, path: vec![] }
    }

    /// Bytes read so far.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    fn byte(&mut self) -> Option<u8> {
        let b = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(b)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut out = 0u64;
        for shift in (0..64).step_by(7) {
            let b = self.byte()?;
            out |= u64::from(b & 0x7f).checked_shl(shift)?;
            if b & 0x80 == 0 {
                return Some(out);
            }
        }
        None
    }

    fn zigzag(&mut self) -> Option<i64> {
        let n = self.varint()?;
        Some((n >> 1) as i64 ^ -((n & 1) as i64))
    }

    fn skip(&mut self, n: u64) -> Option<()> {
        let to = self.at.checked_add(usize::try_from(n).ok()?)?;
        (to <= self.bytes.len()).then(|| self.at = to)
    }

    /// Reads a struct and reports its numbers; `None` where the bytes are not valid Thrift.
    pub(crate) fn structure(&mut self, met: &mut dyn FnMut(Met)) -> Option<()> {
        if self.path.len() > DEPTH {
            return None;
        }
        let mut id = 0i16;
        loop {
            let head = self.byte()?;
            let kind = head & 0x0f;
            if kind == 0 {
                return Some(());
            }
            id = match head >> 4 {
                0 => i16::try_from(self.zigzag()?).ok()?,
                delta => id.checked_add(i16::from(delta))?,
            };
            self.path.push(id);
            match kind {
                // In a struct the type of a boolean field is its value.
                1 | 2 => met(Met::Number(&self.path, i64::from(kind == 1))),
                _ => self.value(kind, met)?,
            }
            self.path.pop();
        }
    }

    fn value(&mut self, kind: u8, met: &mut dyn FnMut(Met)) -> Option<()> {
        match kind {
            1..=3 => {
                let b = self.byte()?;
                met(Met::Number(&self.path, i64::from(b as i8)));
            }
            4..=6 => {
                let n = self.zigzag()?;
                met(Met::Number(&self.path, n));
            }
            7 => self.skip(8)?,
            8 => {
                let n = self.varint()?;
                self.skip(n)?;
            }
            9 | 10 => {
                let head = self.byte()?;
                let size = if head >> 4 == 15 { self.varint()? } else { u64::from(head >> 4) };
                let kind = head & 0x0f;
                // Every element takes at least one byte, so a false size ends at the end of the bytes.
                for _ in 0..size {
                    if kind == 12 {
                        met(Met::Structure(&self.path));
                    }
                    self.nested(kind, met)?;
                }
            }
            11 => {
                let size = self.varint()?;
                let kinds = if size > 0 { self.byte()? } else { 0 };
                for _ in 0..size {
                    self.nested(kinds >> 4, met)?;
                    self.nested(kinds & 0x0f, met)?;
                }
            }
            12 => self.structure(met)?,
            13 => self.skip(16)?,
            _ => return None,
        }
        Some(())
    }

    /// Reads a value inside a list or map; lists and maps count as one level deeper.
    fn nested(&mut self, kind: u8, met: &mut dyn FnMut(Met)) -> Option<()> {
        match kind {
            9..=11 => {
                self.path.push(0);
                if self.path.len() > DEPTH {
                    return None;
                }
                self.value(kind, met)?;
                self.path.pop();
                Some(())
            }
            _ => self.value(kind, met),
        }
    }
}
