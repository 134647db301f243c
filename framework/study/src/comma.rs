//! Reads tables of comma-separated values.
use csv_core::{ReadRecordResult, ReaderBuilder};

/// Most fields of a line.
const FIELDS: usize = 4096;

/// The records of a table, each with the line that it begins on, from 1. Fields have no white space around them. The
/// delimiter is the one that the first line has most of: a comma, a semicolon or a tab.
///
/// # Errors
/// If the bytes are no UTF-8, a quote is not closed, or a line has too many fields.
pub(crate) fn records(bytes: &[u8]) -> Result<Vec<(usize, Vec<String>)>, String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|e| format!("not UTF-8 ({e}); save the file as UTF-8"))?;
    let first = text.lines().find(|l| !l.trim().is_empty()).unwrap_or("");
    // Spreadsheets of some languages write semicolons.
    let count = |d: &char| (first.matches(*d).count(), *d == ',');
    let delimiter = [',', ';', '\t'].into_iter().max_by_key(count).unwrap_or(',');
    let mut reader = ReaderBuilder::new().delimiter(delimiter as u8).build();
    // With a line end behind the last line every record ends in one, unless a quote is open.
    let input = [text.as_bytes(), b"\n"].concat();
    let (mut fields, mut ends) = (vec![0; input.len()], vec![0; FIELDS]);
    let (mut at, mut line, mut out) = (0, 1, vec![]);
    loop {
        while let Some(end) = input.get(at).filter(|b| matches!(b, b'\n' | b'\r')) {
            line += usize::from(*end == b'\n');
            at += 1;
        }
        if at == input.len() {
            return Ok(out);
        }
        let (result, read, _, n) = reader.read_record(&input[at..], &mut fields, &mut ends);
        match result {
            ReadRecordResult::Record => {}
            ReadRecordResult::OutputEndsFull => return Err(format!("line {line}: more than {FIELDS} fields")),
            _ => return Err(format!("line {line}: a quote is opened and not closed")),
        }
        let field = |k: usize| {
            let start = if k == 0 { 0 } else { ends[k - 1] };
            String::from_utf8_lossy(&fields[start..ends[k]]).trim().to_string()
        };
        out.push((line, (0..n).map(field).collect()));
        line += input[at..at + read].iter().filter(|b| **b == b'\n').count();
        at += read;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(usize, String)> {
        records(text.as_bytes()).map_or(vec![], |all| all.into_iter().map(|(n, f)| (n, f.join("|"))).collect())
    }

    #[test]
    fn records_know_their_line() {
        let text = "\u{feff}a,b\r\n\r\n 1 ,\"x, \"\"y\"\"\nz\"\r\n\n2,\n3,c";
        let want = [(1, "a|b"), (3, "1|x, \"y\"\nz"), (6, "2|"), (7, "3|c")];
        assert_eq!(read(text), want.map(|(n, s)| (n, s.to_string())));
        assert_eq!(read("a;b;c,d\n1;2;3"), [(1, "a|b|c,d".to_string()), (2, "1|2|3".to_string())]);
        assert_eq!(read("a\tb\n1\t"), [(1, "a|b".to_string()), (2, "1|".to_string())]);
        assert_eq!(read("a\n1\n"), [(1, "a".to_string()), (2, "1".to_string())]);
        assert_eq!((read(""), read("\n\n")), (vec![], vec![]));
        let told = |bytes: &[u8]| records(bytes).err().unwrap_or_default();
        assert_eq!(told(b"a,b\n1,\"x\n2,y\n"), "line 2: a quote is opened and not closed");
        assert!(told(b"a\n\xff").contains("save the file as UTF-8"));
        assert!(told(",".repeat(5000).as_bytes()).contains("line 1: more than 4096 fields"));
    }
}
