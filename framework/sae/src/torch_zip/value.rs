//! The values of a pickle, and the names of functions and classes that a state dict needs.
use crate::layout::Dtype;
use crate::zip::plain;

/// Longest name of a tensor or of an entry, in bytes.
const LONGEST_NAME: usize = 1000;

/// Index of a value.
pub type Id = usize;

/// A function or class that a pickle names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Global {
    /// `collections.OrderedDict`.
    OrderedDict,
    /// `torch._utils._rebuild_tensor_v2`.
    Tensor,
    /// `torch._utils._rebuild_parameter`.
    Parameter,
    /// A class of storages, such as `torch.FloatStorage`.
    Storage(Dtype),
}

impl Global {
    /// The function or class `module.name`.
    ///
    /// # Errors
    /// When it is any other; the message says its name.
    pub fn of(module: &str, name: &str) -> Result<Self, String> {
        Ok(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Self::Tensor,
            ("torch._utils", "_rebuild_parameter") => Self::Parameter,
            ("torch", "DoubleStorage") => Self::Storage(Dtype::F64),
            ("torch", "FloatStorage") => Self::Storage(Dtype::F32),
            ("torch", "HalfStorage") => Self::Storage(Dtype::F16),
            ("torch", "BFloat16Storage") => Self::Storage(Dtype::BF16),
            ("torch", "LongStorage") => Self::Storage(Dtype::I64),
            ("torch", "IntStorage") => Self::Storage(Dtype::I32),
            ("torch", "ShortStorage") => Self::Storage(Dtype::I16),
            ("torch", "CharStorage") => Self::Storage(Dtype::I8),
            ("torch", "ByteStorage") => Self::Storage(Dtype::U8),
            ("torch", "BoolStorage") => Self::Storage(Dtype::Bool),
            _ => {
                return Err(format!(
                    "asks for `{}.{}`, which no state dict of tensors needs; nothing of it was run: save the autoencoder's `state_dict()` alone",
                    plain(module),
                    plain(name)
                ));
            }
        })
    }
}

/// A tensor, as a pickle describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// Its storage, a [`Value::Storage`].
    pub storage: Id,
    /// Its first number in the storage.
    pub offset: usize,
    /// Its dimensions.
    pub shape: Vec<usize>,
    /// How many numbers each index steps over.
    pub strides: Vec<usize>,
}

/// A value.
#[derive(Debug, PartialEq)]
pub enum Value {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A float.
    Float(f64),
    /// A text.
    Text(String),
    /// A tuple.
    Tuple(Vec<Id>),
    /// A list.
    List(Vec<Id>),
    /// A dict, by keys and values in the order written. A key may stand in it twice; the last counts.
    Dict(Vec<(Id, Id)>),
    /// A name of a function or class.
    Global(Global),
    /// A run of numbers: their type, the text that names their entry in the archive, and how many they are.
    Storage(Dtype, Id, usize),
    /// A tensor.
    Tensor(Tensor),
}

impl Value {
    /// What kind of value it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Bool(_) => "a bool",
            Self::Int(_) => "a whole number",
            Self::Float(_) => "a float",
            Self::Text(_) => "a text",
            Self::Tuple(_) => "a tuple",
            Self::List(_) => "a list",
            Self::Dict(_) => "a dict",
            Self::Global(_) => "a function or class",
            Self::Storage(..) => "a storage",
            Self::Tensor(_) => "a tensor",
        }
    }
}

/// The values of a pickle.
pub struct Pickle {
    /// All values.
    pub values: Vec<Value>,
    /// The value that the pickle is of.
    pub root: Id,
}

impl Pickle {
    /// A text that names something.
    ///
    /// # Errors
    /// When it is no text, or longer than any name.
    pub fn name(&self, id: Id) -> Result<&str, String> {
        match &self.values[id] {
            Value::Text(name) if name.len() <= LONGEST_NAME => Ok(name),
            Value::Text(name) => Err(format!("has a name of {} bytes; up to {LONGEST_NAME} are read", name.len())),
            other => Err(format!("has {} where a name should be", other.kind())),
        }
    }
}
