//! A folder's path in a lock: text, or its bytes in hexadecimal if they are not UTF-8.
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// A path as the lock holds it: `"/home/ada"`, or `{"hex": "2f68e96d65"}`.
pub fn written(path: &Path) -> Value {
    match path.to_str() {
        Some(text) => json!(text),
        None => {
            json!({"hex": path.as_os_str().as_encoded_bytes().iter().map(|b| format!("{b:02x}")).collect::<String>()})
        }
    }
}

/// The path that [`written`] wrote; `None` if the value is not a path of this system.
pub fn read(value: &Value) -> Option<PathBuf> {
    if let Some(text) = value.as_str() {
        return Some(text.into());
    }
    let hex = value.get("hex")?.as_str()?;
    if !hex.is_ascii() || hex.len() % 2 != 0 {
        return None;
    }
    let bytes =
        (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).ok()).collect::<Option<_>>()?;
    of_bytes(bytes)
}

#[cfg(unix)]
fn of_bytes(bytes: Vec<u8>) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    Some(std::ffi::OsString::from_vec(bytes).into())
}

#[cfg(not(unix))]
fn of_bytes(bytes: Vec<u8>) -> Option<PathBuf> {
    String::from_utf8(bytes).ok().map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_round_trip() {
        for text in ["/home/ada", "caf\u{e9}", ""] {
            assert_eq!(read(&written(Path::new(text))).as_deref(), Some(Path::new(text)));
            assert_eq!(written(Path::new(text)), json!(text));
        }
        assert_eq!(read(&json!({"hex": "2f6"})), None);
        assert_eq!(read(&json!({"hex": "2é"})), None);
        assert_eq!(read(&json!({"hex": "zz"})), None);
        assert_eq!(read(&json!(3)), None);
    }

    #[cfg(unix)]
    #[test]
    fn bytes_that_are_no_utf8_round_trip() {
        use std::os::unix::ffi::OsStrExt;
        let path = Path::new(std::ffi::OsStr::from_bytes(b"/tmp/caf\xe9/\xff"));
        assert_eq!(written(path), json!({"hex": "2f746d702f636166e92fff"}));
        assert_eq!(read(&written(path)).as_deref(), Some(path));
    }
}
