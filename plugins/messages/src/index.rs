//! Where each row of the file lies, and how one is read again.
use crate::row::Form;
use friction_core::{Category, Error, Item, Result, plural, seed};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// Longest line in bytes. A file without line ends is no list of conversations.
const LONGEST: u64 = 64 << 20;

/// Where a row lies in the file.
#[derive(Debug, Clone, Copy)]
struct Place {
    start: u64,
    bytes: u32,
    /// Number of its line, from 1.
    line: u32,
    /// A part of the hash of its bytes.
    sum: u32,
}

/// What tells a file from itself after a change.
type Stamp = (u64, Option<SystemTime>);

/// The rows of a file by category, in the order of the file.
pub(crate) struct Index {
    path: PathBuf,
    file: Mutex<File>,
    stamp: Stamp,
    form: Form,
    categories: Vec<Category>,
    places: HashMap<String, Vec<Place>>,
    fingerprint: String,
    /// Number of rows that were left out, and what is wrong with the first of them.
    left_out: Option<(usize, String)>,
}

impl Index {
    /// Reads a file once, and checks each row. With `leave_out`, rows that cannot be asked are counted; otherwise the
    /// first is an error.
    ///
    /// # Errors
    /// If the file cannot be read, holds no row that can be asked, or two rows have the same id.
    pub fn build(path: &Path, form: Form, leave_out: bool) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::io(path, e))?;
        let stamp = stamp(&file).map_err(|e| Error::io(path, e))?;
        let mut lines = Lines { input: BufReader::new(&file), sha: Sha256::new(), at: 0, number: 0, line: vec![] };
        let (mut places, mut ids, mut left_out) = (BTreeMap::<String, Vec<Place>>::new(), HashSet::new(), None);
        while let Some(start) = lines.next(path)? {
            let text = row(&lines.line, start);
            if text.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let line = u32::try_from(lines.number).map_err(|_| Error::data(path, "has more than 4 billion lines"))?;
            let item = match form.item(text, lines.number) {
                Ok(item) => item,
                Err(what) => {
                    let what = format!("line {line}: {what}");
                    if !leave_out {
                        return Err(Error::data(path, what));
                    }
                    let (n, first) = left_out.get_or_insert((0, what));
                    (*n, *first) = (*n + 1, std::mem::take(first));
                    continue;
                }
            };
            // Half of a hash: ids need not be held.
            if !ids.insert(seed::derive(&[item.id.as_bytes()])) {
                return Err(Error::data(path, format!("line {line}: the id `{}` occurs twice", item.id)));
            }
            let place = Place { start, bytes: lines.line.len() as u32, line, sum: sum(&lines.line) };
            places.entry(item.category).or_default().push(place);
        }
        if places.is_empty() {
            return Err(Error::data(path, "holds no conversations that can be asked"));
        }
        let fingerprint = format!("sha256-{}", hex(lines.sha));
        let categories = places.iter().map(|(name, all)| Category { name: name.clone(), items: all.len() }).collect();
        let places = places.into_iter().map(|(name, mut all)| {
            all.shrink_to_fit();
            (name, all)
        });
        Ok(Self {
            path: path.into(),
            file: Mutex::new(file.try_clone().map_err(|e| Error::io(path, e))?),
            stamp,
            form,
            categories,
            places: places.collect(),
            fingerprint,
            left_out,
        })
    }

    pub fn categories(&self) -> &[Category] {
        &self.categories
    }

    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// What a reader must know of rows that were left out.
    pub fn left_out(&self) -> Option<String> {
        let (n, first) = self.left_out.as_ref()?;
        let (rows, file) = (plural(*n, "row"), self.path.file_name().unwrap_or_default().to_string_lossy());
        Some(format!(
            "{rows} of {file} cannot be asked and {} left out; the first is {first}",
            if *n == 1 { "is" } else { "are" }
        ))
    }

    /// Reads a row.
    ///
    /// # Errors
    /// If there is no such row, it cannot be read, or the file is not what it was when it was indexed.
    pub fn item(&self, category: &Category, index: usize) -> Result<Item> {
        let place = self.places.get(&category.name).and_then(|all| all.get(index));
        let place = place.ok_or_else(|| Error::other(format!("category `{}` has no item {index}", category.name)))?;
        let changed = || {
            let what = "was changed while it was in use; the run must see one and the same file: run the command again";
            Error::data(&self.path, what)
        };
        let mut line = vec![0; place.bytes as usize];
        {
            let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            if stamp(&file).map_err(|e| Error::io(&self.path, e))? != self.stamp {
                return Err(changed());
            }
            file.seek(SeekFrom::Start(place.start)).map_err(|e| Error::io(&self.path, e))?;
            file.read_exact(&mut line).map_err(|_| changed())?;
        }
        if sum(&line) != place.sum {
            return Err(changed());
        }
        let at = place.line as usize;
        self.form
            .item(row(&line, place.start), at)
            .map_err(|what| Error::data(&self.path, format!("line {at}: {what}")))
    }
}

/// Reads lines, hashes what it reads, and knows where it is.
struct Lines<'a> {
    input: BufReader<&'a File>,
    sha: Sha256,
    at: u64,
    number: usize,
    line: Vec<u8>,
}

impl Lines<'_> {
    /// Reads the next line, with its end, and returns where it begins; `None` at the end of the file.
    fn next(&mut self, path: &Path) -> Result<Option<u64>> {
        self.line.clear();
        let start = self.at;
        let read = (&mut self.input).take(LONGEST + 1).read_until(b'\n', &mut self.line);
        let read = read.map_err(|e| Error::io(path, e))?;
        self.sha.update(&self.line);
        (self.at, self.number) = (self.at + read as u64, self.number + 1);
        if read as u64 > LONGEST {
            let what = format!("line {} is longer than {} MiB; a line is one conversation", self.number, LONGEST >> 20);
            return Err(Error::data(path, what));
        }
        Ok((read > 0).then_some(start))
    }
}

/// A line without the byte order mark that the first one may begin with.
fn row(line: &[u8], start: u64) -> &[u8] {
    if start == 0 { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line) } else { line }
}

fn stamp(file: &File) -> std::io::Result<Stamp> {
    let of = file.metadata()?;
    Ok((of.len(), of.modified().ok()))
}

fn sum(line: &[u8]) -> u32 {
    seed::derive(&[line]) as u32
}

fn hex(sha: Sha256) -> String {
    format!("{:x}", sha.finalize())
}
