//! The operations of a pickle, and the reading of their arguments.

pub const MARK: u8 = b'(';
pub const STOP: u8 = b'.';
pub const NONE: u8 = b'N';
pub const BININT: u8 = b'J';
pub const BININT1: u8 = b'K';
pub const BININT2: u8 = b'M';
pub const BINFLOAT: u8 = b'G';
pub const BINUNICODE: u8 = b'X';
pub const EMPTY_DICT: u8 = b'}';
pub const EMPTY_LIST: u8 = b']';
pub const EMPTY_TUPLE: u8 = b')';
pub const TUPLE: u8 = b't';
pub const LIST: u8 = b'l';
pub const DICT: u8 = b'd';
pub const APPEND: u8 = b'a';
pub const APPENDS: u8 = b'e';
pub const SETITEM: u8 = b's';
pub const SETITEMS: u8 = b'u';
pub const BINPUT: u8 = b'q';
pub const LONG_BINPUT: u8 = b'r';
pub const BINGET: u8 = b'h';
pub const LONG_BINGET: u8 = b'j';
pub const GLOBAL: u8 = b'c';
pub const REDUCE: u8 = b'R';
pub const BUILD: u8 = b'b';
pub const BINPERSID: u8 = b'Q';
/// From protocol 2 on.
pub const PROTO: u8 = 0x80;
pub const TUPLE1: u8 = 0x85;
pub const TUPLE2: u8 = 0x86;
pub const TUPLE3: u8 = 0x87;
pub const TRUE: u8 = 0x88;
pub const FALSE: u8 = 0x89;
pub const LONG1: u8 = 0x8a;
/// From protocol 4 on.
pub const SHORT_BINUNICODE: u8 = 0x8c;
pub const BINUNICODE8: u8 = 0x8d;
pub const STACK_GLOBAL: u8 = 0x93;
pub const MEMOIZE: u8 = 0x94;
pub const FRAME: u8 = 0x95;

/// A message about an operation that no state dict needs.
pub fn refused(op: u8) -> String {
    let name = match op {
        b'i' => "INST",
        b'o' => "OBJ",
        b'P' => "PERSID",
        b'0' => "POP",
        b'1' => "POP_MARK",
        b'2' => "DUP",
        b'I' => "INT",
        b'L' => "LONG",
        b'F' => "FLOAT",
        b'S' => "STRING",
        b'T' => "BINSTRING",
        b'U' => "SHORT_BINSTRING",
        b'V' => "UNICODE",
        b'B' => "BINBYTES",
        b'C' => "SHORT_BINBYTES",
        b'g' => "GET",
        b'p' => "PUT",
        0x81 => "NEWOBJ",
        0x82..=0x84 => "EXT",
        0x8b => "LONG4",
        0x8e => "BINBYTES8",
        0x8f => "EMPTY_SET",
        0x90 => "ADDITEMS",
        0x91 => "FROZENSET",
        0x92 => "NEWOBJ_EX",
        0x96 => "BYTEARRAY8",
        0x97 => "NEXT_BUFFER",
        0x98 => "READONLY_BUFFER",
        _ => return format!("asks for the operation {op:#04x}, which no pickle has: fetch the file again"),
    };
    format!(
        "asks for the pickle operation {name}, which no state dict of tensors needs; nothing of it was run: save the autoencoder's `state_dict()` alone"
    )
}

/// Reads a pickle from its first byte to its end.
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], String> {
        let taken = self.at.checked_add(n).and_then(|end| self.bytes.get(self.at..end));
        self.at = self.at.saturating_add(n);
        taken.ok_or_else(|| "ends early: fetch the file again".into())
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    fn byte(&mut self) -> Result<u8, String> {
        Ok(self.array::<1>()?[0])
    }

    /// The first operation, which says the protocol.
    pub fn protocol(&mut self) -> Result<(), String> {
        match self.array()? {
            [PROTO, 2..=4] => Ok(()),
            [PROTO, version] => Err(format!("is a pickle of protocol {version}; 2 to 4 are read")),
            _ => Err("is no pickle of protocol 2 to 4".into()),
        }
    }

    /// The next operation; `None` at the end.
    pub fn op(&mut self) -> Result<Option<u8>, String> {
        loop {
            match self.byte()? {
                STOP => return Ok(None),
                // Frames only tell how many bytes to read at once.
                FRAME => {
                    self.take(8)?;
                }
                op => return Ok(Some(op)),
            }
        }
    }

    pub fn int(&mut self, op: u8) -> Result<i64, String> {
        Ok(match op {
            BININT1 => self.byte()?.into(),
            BININT2 => u16::from_le_bytes(self.array()?).into(),
            BININT => i32::from_le_bytes(self.array()?).into(),
            _ => {
                let length = usize::from(self.byte()?);
                let digits = self.take(length)?;
                if length > 8 {
                    return Err(format!("holds a whole number of {length} bytes; up to 8 are read"));
                }
                // Two's complement: the sign fills what is not written.
                let fill = if digits.last().is_some_and(|d| d & 0x80 != 0) { 0xff } else { 0 };
                let mut all = [fill; 8];
                all[..length].copy_from_slice(digits);
                i64::from_le_bytes(all)
            }
        })
    }

    pub fn text(&mut self, op: u8) -> Result<&'a str, String> {
        let length = match op {
            SHORT_BINUNICODE => u64::from(self.byte()?),
            BINUNICODE => u32::from_le_bytes(self.array()?).into(),
            _ => u64::from_le_bytes(self.array()?),
        };
        let bytes = self.take(usize::try_from(length).unwrap_or(usize::MAX))?;
        std::str::from_utf8(bytes).map_err(|_| "holds a text that is no UTF-8".into())
    }

    pub fn index(&mut self, op: u8) -> Result<u32, String> {
        Ok(match op {
            BINPUT | BINGET => self.byte()?.into(),
            _ => u32::from_le_bytes(self.array()?),
        })
    }

    /// The rest of a line, without its end.
    pub fn line(&mut self) -> Result<&'a str, String> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
        let line = self.take(length)?;
        self.take(1)?;
        std::str::from_utf8(line).map_err(|_| "holds a name that is no UTF-8".into())
    }
}
