//! Pickles of state dicts, protocols 2 to 4, read without executing anything. A pickle is a program that may call any
//! function. This reader knows dicts, lists, tuples, texts, numbers, and how PyTorch writes a tensor; it calls nothing, and
//! refuses everything else by its name.
//!
//! Values stand in one list and refer to each other by their index there, so that values which hold themselves, or hold one
//! value many times, need no more memory than their bytes in the pickle. Each operation takes at least one byte, and no value
//! is walked through to its depths, so that reading ends.
use super::opcode::{self, Reader};
use super::value::{Global, Id, Pickle, Tensor, Value};
use crate::layout::MOST_DIMENSIONS;
use std::collections::HashMap;

/// Longest pickle that is read, in bytes. Tensors' numbers are not part of it.
const LONGEST: usize = 1 << 20;
/// Most values on the stack.
const HIGHEST: usize = 1 << 18;

/// Reads a pickle.
///
/// # Errors
/// When it is broken, too long, or asks for anything but values of a state dict.
pub fn read(bytes: &[u8]) -> Result<Pickle, String> {
    if bytes.len() > LONGEST {
        return Err(format!("is {} bytes long; a state dict's is at most {LONGEST}", bytes.len()));
    }
    let mut reader = Reader::new(bytes);
    let mut machine = Machine { values: vec![], stack: vec![], marks: vec![], memo: HashMap::new() };
    reader.protocol()?;
    while let Some(op) = reader.op()? {
        machine.step(op, &mut reader)?;
        if machine.stack.len() > HIGHEST {
            return Err(format!("puts more than {HIGHEST} values onto its stack: no state dict"));
        }
    }
    let root = machine.pop()?;
    Ok(Pickle { values: machine.values, root })
}

/// The state of reading.
struct Machine {
    values: Vec<Value>,
    stack: Vec<Id>,
    /// Heights of the stack at its marks.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

fn broken<T>() -> Result<T, String> {
    Err("is broken: fetch the file again".into())
}

impl Machine {
    fn step(&mut self, op: u8, reader: &mut Reader) -> Result<(), String> {
        match op {
            opcode::MARK => {
                self.marks.push(self.stack.len());
                if self.marks.len() > HIGHEST {
                    return broken();
                }
            }
            opcode::NONE => self.push(Value::None),
            opcode::TRUE => self.push(Value::Bool(true)),
            opcode::FALSE => self.push(Value::Bool(false)),
            opcode::BININT | opcode::BININT1 | opcode::BININT2 | opcode::LONG1 => {
                let n = reader.int(op)?;
                self.push(Value::Int(n));
            }
            opcode::BINFLOAT => {
                let x = f64::from_be_bytes(reader.array()?);
                self.push(Value::Float(x));
            }
            opcode::BINUNICODE | opcode::SHORT_BINUNICODE | opcode::BINUNICODE8 => {
                let text = reader.text(op)?.to_string();
                self.push(Value::Text(text));
            }
            opcode::EMPTY_DICT => self.push(Value::Dict(vec![])),
            opcode::EMPTY_LIST => self.push(Value::List(vec![])),
            opcode::EMPTY_TUPLE => self.push(Value::Tuple(vec![])),
            opcode::TUPLE1 | opcode::TUPLE2 | opcode::TUPLE3 => {
                let all = self.last(usize::from(op - opcode::TUPLE1) + 1)?;
                self.push(Value::Tuple(all));
            }
            opcode::TUPLE => {
                let all = self.marked()?;
                self.push(Value::Tuple(all));
            }
            opcode::LIST => {
                let all = self.marked()?;
                self.push(Value::List(all));
            }
            opcode::DICT => {
                let all = pairs(&self.marked()?)?;
                self.push(Value::Dict(all));
            }
            opcode::APPEND => {
                let all = self.last(1)?;
                self.append(&all)?;
            }
            opcode::APPENDS => {
                let all = self.marked()?;
                self.append(&all)?;
            }
            opcode::SETITEM => {
                let all = self.last(2)?;
                self.set(&all)?;
            }
            opcode::SETITEMS => {
                let all = self.marked()?;
                self.set(&all)?;
            }
            opcode::BINPUT | opcode::LONG_BINPUT => {
                let at = reader.index(op)?;
                self.memorise(at)?;
            }
            opcode::MEMOIZE => {
                let at = u32::try_from(self.memo.len()).or_else(|_| broken())?;
                self.memorise(at)?;
            }
            opcode::BINGET | opcode::LONG_BINGET => {
                let at = reader.index(op)?;
                let Some(id) = self.memo.get(&at) else { return broken() };
                self.stack.push(*id);
            }
            opcode::GLOBAL => {
                let global = Global::of(reader.line()?, reader.line()?)?;
                self.push(Value::Global(global));
            }
            opcode::STACK_GLOBAL => {
                let all = self.last(2)?;
                let (Value::Text(module), Value::Text(name)) = (&self.values[all[0]], &self.values[all[1]]) else {
                    return broken();
                };
                let global = Global::of(module, name)?;
                self.push(Value::Global(global));
            }
            opcode::BINPERSID => {
                let of = self.pop()?;
                let storage = self.storage(of)?;
                self.push(storage);
            }
            opcode::REDUCE => self.reduce()?,
            opcode::BUILD => {
                // A state dict has its versions as an attribute, which says nothing of its tensors.
                let (of, to) = (self.pop()?, self.top()?);
                if !matches!((&self.values[to], &self.values[of]), (Value::Dict(_), Value::Dict(_))) {
                    return Err(format!("sets attributes of {}: no state dict", self.values[to].kind()));
                }
            }
            other => return Err(opcode::refused(other)),
        }
        Ok(())
    }

    fn push(&mut self, value: Value) {
        self.stack.push(self.values.len());
        self.values.push(value);
    }

    /// Where the part of the stack after the last mark begins.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn pop(&mut self) -> Result<Id, String> {
        if self.stack.len() <= self.floor() {
            return broken();
        }
        self.stack.pop().map_or_else(broken, Ok)
    }

    fn top(&self) -> Result<Id, String> {
        self.stack.get(self.floor()..).and_then(|s| s.last()).copied().map_or_else(broken, Ok)
    }

    /// Takes the last `n` values.
    fn last(&mut self, n: usize) -> Result<Vec<Id>, String> {
        match self.stack.len().checked_sub(n).filter(|from| *from >= self.floor()) {
            Some(from) => Ok(self.stack.split_off(from)),
            None => broken(),
        }
    }

    /// Takes all values after the last mark, and the mark.
    fn marked(&mut self) -> Result<Vec<Id>, String> {
        match self.marks.pop().filter(|from| *from <= self.stack.len()) {
            Some(from) => Ok(self.stack.split_off(from)),
            None => broken(),
        }
    }

    fn memorise(&mut self, at: u32) -> Result<(), String> {
        let id = self.top()?;
        self.memo.insert(at, id);
        Ok(())
    }

    fn append(&mut self, all: &[Id]) -> Result<(), String> {
        let to = self.top()?;
        match &mut self.values[to] {
            Value::List(list) => list.extend(all),
            other => return Err(format!("appends to {}: no state dict", other.kind())),
        }
        Ok(())
    }

    fn set(&mut self, all: &[Id]) -> Result<(), String> {
        let to = self.top()?;
        match &mut self.values[to] {
            Value::Dict(dict) => dict.extend(pairs(all)?),
            other => return Err(format!("sets items of {}: no state dict", other.kind())),
        }
        Ok(())
    }

    /// The values of a tuple.
    fn tuple(&self, id: Id) -> Result<&[Id], String> {
        match &self.values[id] {
            Value::Tuple(all) => Ok(all),
            _ => broken(),
        }
    }

    fn size(&self, id: Id) -> Result<usize, String> {
        match &self.values[id] {
            Value::Int(n) => usize::try_from(*n).map_err(|_| format!("has a size of {n}")),
            _ => broken(),
        }
    }

    /// Sizes of a tensor's dimensions, or its strides.
    fn sizes(&self, id: Id) -> Result<Vec<usize>, String> {
        let all = self.tuple(id)?;
        if all.len() > MOST_DIMENSIONS {
            return Err(format!("has a tensor of {} dimensions; up to {MOST_DIMENSIONS} are read", all.len()));
        }
        all.iter().map(|n| self.size(*n)).collect()
    }

    /// A storage, from its persistent id: ("storage", class, entry, device, numbers).
    fn storage(&self, id: Id) -> Result<Value, String> {
        let &[word, class, entry, _, count] = self.tuple(id)? else { return broken() };
        match [word, class, entry].map(|id| &self.values[id]) {
            [Value::Text(word), Value::Global(Global::Storage(dtype)), Value::Text(_)] if word == "storage" => {
                Ok(Value::Storage(*dtype, entry, self.size(count)?))
            }
            _ => broken(),
        }
    }

    /// What a call of one of the known functions would make. Nothing is called.
    fn reduce(&mut self) -> Result<(), String> {
        let both = self.last(2)?;
        let Value::Global(function) = self.values[both[0]] else {
            return Err(format!("calls {}: no state dict", self.values[both[0]].kind()));
        };
        let arguments = self.tuple(both[1])?;
        match (function, arguments) {
            (Global::OrderedDict, []) => self.push(Value::Dict(vec![])),
            (
                Global::Tensor,
                &[storage, offset, shape, strides, _, _] | &[storage, offset, shape, strides, _, _, _],
            ) => {
                if !matches!(self.values[storage], Value::Storage(..)) {
                    return broken();
                }
                let (offset, shape, strides) = (self.size(offset)?, self.sizes(shape)?, self.sizes(strides)?);
                self.push(Value::Tensor(Tensor { storage, offset, shape, strides }));
            }
            (Global::Parameter, &[tensor, _, _]) if matches!(self.values[tensor], Value::Tensor(_)) => {
                self.stack.push(tensor);
            }
            _ => return broken(),
        }
        Ok(())
    }
}

/// Keys and values, from a list in which they take turns.
fn pairs(all: &[Id]) -> Result<Vec<(Id, Id)>, String> {
    if all.len() % 2 == 1 {
        return broken();
    }
    Ok(all.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
}
