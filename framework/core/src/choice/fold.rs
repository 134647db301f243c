//! Replaces look-alike characters by one form and drops invisible ones.

/// What a character is replaced by.
pub(super) enum Fold {
    /// Nothing: it is invisible.
    Drop,
    /// Another character.
    To(char),
    /// A character in round brackets.
    Round(char),
    /// A dash with a space on each side, as between parts of a sentence.
    Dash,
}

/// Whether a character belongs to a script that is written without spaces. A Latin letter next to it is a word of its
/// own.
pub(super) fn cjk(c: char) -> bool {
    matches!(c as u32, 0x0E00..=0x0E7F | 0x1100..=0x11FF | 0x2E80..=0x2FDF | 0x3040..=0x318F | 0x31A0..=0x31FF
        | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xA960..=0xA97F | 0xAC00..=0xD7FF | 0xF900..=0xFAFF | 0x20000..=0x3FFFF)
}

/// Whether a character continues the word before it, as combining marks and primes do: A with a bar is a different
/// symbol from A.
pub(super) fn joins(c: char) -> bool {
    matches!(c as u32, 0x0300..=0x036F | 0x1AB0..=0x1AFF | 0x1DC0..=0x1DFF | 0x20D0..=0x20DC | 0x20E1 | 0x2032..=0x2037
        | 0x0591..=0x05C7 | 0x064B..=0x065F | 0x0900..=0x0963 | 0x0966..=0x0DFF)
}

fn latin(base: u32, c: u32) -> char {
    let n = (c - base) % 52;
    char::from(if n < 26 { b'A' + n as u8 } else { b'a' + (n - 26) as u8 })
}

fn capital(base: u32, c: u32) -> char {
    char::from(b'A' + (c - base) as u8)
}

/// Replaces a character. Full-width, mathematical, circled and squared letters become plain letters. Cyrillic and Greek
/// letters that look like Latin ones are kept.
pub(super) fn fold(c: char) -> Fold {
    let to = |c: char| Fold::To(c);
    if c.is_ascii() {
        return match c {
            '\r' | '\x0b' | '\x0c' => to(' '),
            '\n' | '\t' => to(c),
            _ if c.is_ascii_control() => Fold::Drop,
            _ => to(c),
        };
    }
    match c as u32 {
        // Invisible: soft hyphen, joiners, marks of direction, variation selectors, enclosing marks, tags.
        0x00AD
        | 0x034F
        | 0x061C
        | 0x115F
        | 0x1160
        | 0x17B4
        | 0x17B5
        | 0x180B..=0x180F
        | 0x200B..=0x200F
        | 0x202A..=0x202E
        | 0x2060..=0x206F
        | 0x20DD..=0x20E0
        | 0x20E2..=0x20E4
        | 0xFE00..=0xFE0F
        | 0xFEFF
        | 0xFFF9..=0xFFFD
        | 0xE0000..=0xE0FFF => Fold::Drop,
        0x0085 | 0x2028 | 0x2029 => to('\n'),
        0x2800 | 0x3164 => to(' '),
        0x2018 | 0x2019 | 0x201A | 0x201B | 0x2039 | 0x203A | 0x00B4 => to('\''),
        0x201C..=0x201F | 0x00AB | 0x00BB | 0x300C..=0x300F | 0x301D..=0x301F => to('"'),
        0x3010 | 0x3014 | 0x3016 | 0x3018 | 0x3008 | 0x300A => to('['),
        0x3011 | 0x3015 | 0x3017 | 0x3019 | 0x3009 | 0x300B => to(']'),
        0x2014 | 0x2015 | 0x2E3A | 0x2E3B => Fold::Dash,
        0x2010..=0x2013 | 0x2212 | 0xFE58 | 0xFE63 => to('-'),
        0x3002 | 0x0964 | 0x06D4 | 0xFF61 => to('.'),
        0x3001 | 0x060C | 0xFE50 | 0xFE51 | 0xFF64 => to(','),
        0x061B | 0xFE54 => to(';'),
        0x061F | 0xFE56 | 0x037E => to('?'),
        0xFE55 | 0x2236 | 0xA789 => to(':'),
        0x2026 => to('…'),
        0x2022 | 0x2023 | 0x2043 | 0x25E6 | 0x25AA | 0x25CF | 0x25CB | 0x25A0 => to('•'),
        0xFF01..=0xFF5E => fold_ascii(c as u32 - 0xFEE0),
        0x3000 => to(' '),
        // Crosses mark an option as wrong.
        0x274C | 0x274E | 0x2716..=0x2718 | 0x2715 | 0x1F6AB | 0x26D4 | 0x1F5D9 | 0x1F44E => to('✗'),
        // Ticks mark an option as right.
        0x2705 | 0x2611 | 0x2713 | 0x2714 | 0x1F5F8 | 0x1F197 => to('✓'),
        0x27A1 | 0x2B05..=0x2B07 => to(' '),
        0x2190..=0x21FF | 0x2794..=0x27BE | 0x27F0..=0x27FF | 0x2900..=0x297F => to('→'),
        0x24B6..=0x24CF => to(capital(0x24B6, c as u32)),
        0x24D0..=0x24E9 => to(capital(0x24D0, c as u32).to_ascii_lowercase()),
        0x249C..=0x24B5 => Fold::Round(capital(0x249C, c as u32).to_ascii_lowercase()),
        0x1F110..=0x1F129 => Fold::Round(capital(0x1F110, c as u32)),
        0x1F130..=0x1F149 => to(capital(0x1F130, c as u32)),
        0x1F150..=0x1F169 => to(capital(0x1F150, c as u32)),
        0x1F170..=0x1F189 => to(capital(0x1F170, c as u32)),
        0x1F1E6..=0x1F1FF => to(capital(0x1F1E6, c as u32)),
        0x1D400..=0x1D6A3 => to(latin(0x1D400, c as u32)),
        0x212C => to('B'),
        0x2102 | 0x212D => to('C'),
        0x2145 => to('D'),
        0x2130 => to('E'),
        0x2131 => to('F'),
        0x210B..=0x210D => to('H'),
        0x2110 | 0x2111 => to('I'),
        0x2112 => to('L'),
        0x2133 => to('M'),
        0x2115 => to('N'),
        0x2119 => to('P'),
        0x211A => to('Q'),
        0x211B..=0x211D => to('R'),
        0x2124 | 0x2128 => to('Z'),
        // Other emoji and dingbats.
        0x2300..=0x23FF | 0x2600..=0x27BF | 0x2B00..=0x2BFF | 0x1F000..=0x1FAFF => to(' '),
        _ if c.is_whitespace() => to(' '),
        _ if c.is_control() => Fold::Drop,
        _ => to(c),
    }
}

fn fold_ascii(c: u32) -> Fold {
    Fold::To(char::from_u32(c).unwrap_or(' '))
}
