//! D-Bus values and messages as bytes (D-Bus specification, "Type System" and "Message Protocol"). Little-endian. What is read
//! is bounded and never trusted: systemd is on the other side, but so may be anybody who took its socket's place.

use std::fmt;

/// A value with its type.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Byte(u8),
    Bool(bool),
    I16(i16),
    U16(u16),
    I32(i32),
    U32(u32),
    I64(i64),
    U64(u64),
    Double(f64),
    Str(String),
    Path(String),
    Signature(String),
    /// The signature of its elements, and those.
    Array(String, Vec<Value>),
    Struct(Vec<Value>),
    Variant(Box<Value>),
}

impl Value {
    pub(crate) fn str(text: impl Into<String>) -> Self {
        Self::Str(text.into())
    }

    pub(crate) fn variant(self) -> Self {
        Self::Variant(Box::new(self))
    }

    pub(crate) fn signature(&self) -> String {
        match self {
            Self::Byte(_) => "y".into(),
            Self::Bool(_) => "b".into(),
            Self::I16(_) => "n".into(),
            Self::U16(_) => "q".into(),
            Self::I32(_) => "i".into(),
            Self::U32(_) => "u".into(),
            Self::I64(_) => "x".into(),
            Self::U64(_) => "t".into(),
            Self::Double(_) => "d".into(),
            Self::Str(_) => "s".into(),
            Self::Path(_) => "o".into(),
            Self::Signature(_) => "g".into(),
            Self::Array(of, _) => format!("a{of}"),
            Self::Struct(fields) => format!("({})", fields.iter().map(Self::signature).collect::<String>()),
            Self::Variant(_) => "v".into(),
        }
    }

    /// The text of a string or an object path, through variants.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Str(text) | Self::Path(text) => Some(text),
            Self::Variant(inner) => inner.text(),
            _ => None,
        }
    }
}

fn alignment(signature: &str) -> usize {
    match signature.as_bytes().first() {
        Some(b'y' | b'g' | b'v') => 1,
        Some(b'n' | b'q') => 2,
        Some(b'x' | b't' | b'd' | b'(' | b'{') => 8,
        _ => 4,
    }
}

/// Bytes being written; alignment counts from its beginning, which is the beginning of a message or of its body.
#[derive(Debug, Default)]
pub(crate) struct Writer(pub Vec<u8>);

impl Writer {
    pub(crate) fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.align(4);
        self.0.extend(value.to_le_bytes());
    }

    fn aligned(&mut self, bytes: &[u8]) {
        self.align(bytes.len());
        self.0.extend(bytes);
    }

    pub(crate) fn value(&mut self, value: &Value) {
        match value {
            Value::Byte(v) => self.0.push(*v),
            Value::Bool(v) => self.u32(u32::from(*v)),
            Value::I16(v) => self.aligned(&v.to_le_bytes()),
            Value::U16(v) => self.aligned(&v.to_le_bytes()),
            Value::I32(v) => self.aligned(&v.to_le_bytes()),
            Value::U32(v) => self.u32(*v),
            Value::I64(v) => self.aligned(&v.to_le_bytes()),
            Value::U64(v) => self.aligned(&v.to_le_bytes()),
            Value::Double(v) => self.aligned(&v.to_le_bytes()),
            Value::Str(text) | Value::Path(text) => {
                self.u32(length(text.len()));
                self.0.extend(text.as_bytes());
                self.0.push(0);
            }
            Value::Signature(text) => self.signature(text),
            Value::Array(of, items) => self.array(of, items),
            Value::Struct(fields) => {
                self.align(8);
                fields.iter().for_each(|field| self.value(field));
            }
            Value::Variant(inner) => {
                self.signature(&inner.signature());
                self.value(inner);
            }
        }
    }

    fn signature(&mut self, text: &str) {
        // A signature has at most 255 bytes: ours are short, and texts of others are parsed into bounded ones.
        self.0.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
        self.0.extend(text.bytes().take(255));
        self.0.push(0);
    }

    fn array(&mut self, of: &str, items: &[Value]) {
        self.u32(0);
        let at = self.0.len() - 4;
        // The length does not count the padding before the first element.
        self.align(alignment(of));
        let start = self.0.len();
        items.iter().for_each(|item| self.value(item));
        let size = length(self.0.len() - start);
        self.0[at..at + 4].copy_from_slice(&size.to_le_bytes());
    }
}

/// Nothing that is written here comes near four gigabytes.
fn length(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

/// Bytes that do not say what they should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("malformed D-Bus message")
    }
}

impl std::error::Error for Malformed {}

/// Values may nest this deep (the specification allows 64; nobody here sends more than four).
const DEPTH: u8 = 16;

/// Bytes being read.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(crate) fn align(&mut self, to: usize) {
        self.at = self.at.next_multiple_of(to);
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let end = self.at.checked_add(count).ok_or(Malformed)?;
        let taken = self.bytes.get(self.at..end).ok_or(Malformed)?;
        self.at = end;
        Ok(taken)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.align(N);
        self.take(N)?.try_into().map_err(|_| Malformed)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Malformed> {
        Ok(self.take(1)?[0])
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        self.fixed().map(u32::from_le_bytes)
    }

    fn text(&mut self, size: usize) -> Result<String, Malformed> {
        let bytes = self.take(size)?;
        self.take(1)?;
        String::from_utf8(bytes.to_vec()).map_err(|_| Malformed)
    }

    /// One value per complete type of `signature`.
    pub(crate) fn values(&mut self, signature: &str) -> Result<Vec<Value>, Malformed> {
        self.sequence(signature, DEPTH)
    }

    fn sequence(&mut self, mut signature: &str, depth: u8) -> Result<Vec<Value>, Malformed> {
        let mut out = Vec::new();
        while !signature.is_empty() {
            let (one, rest) = split(signature)?;
            out.push(self.value(one, depth)?);
            signature = rest;
        }
        Ok(out)
    }

    fn value(&mut self, signature: &str, depth: u8) -> Result<Value, Malformed> {
        let depth = depth.checked_sub(1).ok_or(Malformed)?;
        let inner = signature.get(1..).unwrap_or("");
        Ok(match signature.as_bytes().first() {
            Some(b'y') => Value::Byte(self.byte()?),
            Some(b'b') => Value::Bool(self.u32()? != 0),
            Some(b'n') => Value::I16(i16::from_le_bytes(self.fixed()?)),
            Some(b'q') => Value::U16(u16::from_le_bytes(self.fixed()?)),
            Some(b'i') => Value::I32(i32::from_le_bytes(self.fixed()?)),
            // A descriptor's index.
            Some(b'u' | b'h') => Value::U32(self.u32()?),
            Some(b'x') => Value::I64(i64::from_le_bytes(self.fixed()?)),
            Some(b't') => Value::U64(u64::from_le_bytes(self.fixed()?)),
            Some(b'd') => Value::Double(f64::from_le_bytes(self.fixed()?)),
            Some(b's' | b'o') => {
                let size = self.u32()? as usize;
                Value::Str(self.text(size)?)
            }
            Some(b'g') => {
                let size = self.byte()? as usize;
                Value::Signature(self.text(size)?)
            }
            Some(b'v') => {
                let size = self.byte()? as usize;
                let signature = self.text(size)?;
                let (one, rest) = split(&signature)?;
                if !rest.is_empty() {
                    return Err(Malformed);
                }
                self.value(one, depth)?.variant()
            }
            Some(b'a') => self.array(inner, depth)?,
            Some(b'(' | b'{') => {
                self.align(8);
                let fields = inner.get(..inner.len().saturating_sub(1)).ok_or(Malformed)?;
                Value::Struct(self.sequence(fields, depth)?)
            }
            _ => return Err(Malformed),
        })
    }

    fn array(&mut self, of: &str, depth: u8) -> Result<Value, Malformed> {
        let size = self.u32()? as usize;
        self.align(alignment(of));
        let end = self.at.checked_add(size).filter(|end| *end <= self.bytes.len()).ok_or(Malformed)?;
        let mut items = Vec::new();
        while self.at < end {
            items.push(self.value(of, depth)?);
        }
        Ok(Value::Array(of.to_owned(), items))
    }
}

/// The first complete type of a signature, and the rest.
pub(crate) fn split(signature: &str) -> Result<(&str, &str), Malformed> {
    let mut depth = 0usize;
    for (at, byte) in signature.bytes().enumerate() {
        match byte {
            b'(' | b'{' => depth += 1,
            b')' | b'}' => depth = depth.checked_sub(1).ok_or(Malformed)?,
            b'a' => continue,
            b'y' | b'b' | b'n' | b'q' | b'i' | b'u' | b'x' | b't' | b'd' | b's' | b'o' | b'g' | b'v' | b'h' => {}
            _ => return Err(Malformed),
        }
        if depth == 0 {
            return Ok(signature.split_at(at + 1));
        }
    }
    Err(Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(value: Value) {
        let mut writer = Writer::default();
        writer.value(&value);
        let back = Reader::new(&writer.0).values(&value.signature()).expect("reads");
        assert_eq!(back, [value]);
    }

    #[test]
    fn what_is_written_is_read() {
        round(Value::Byte(7));
        round(Value::Struct(vec![Value::str("a"), Value::U64(1 << 40).variant(), Value::Bool(true), Value::I16(-2)]));
        round(Value::Array("(sv)".into(), vec![Value::Struct(vec![Value::str("x"), Value::U32(1).variant()])]));
        round(Value::Array("(ss)".into(), Vec::new()));
        round(Value::Array("t".into(), vec![Value::U64(9), Value::U64(10)]).variant());
    }

    #[test]
    fn layout_is_the_specifications() {
        let mut writer = Writer::default();
        writer.value(&Value::Array("t".into(), vec![Value::U64(5)]));
        assert_eq!(writer.0, [8, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn lies_are_refused() {
        for (bytes, signature) in [
            (&[255, 255, 255, 255, 0][..], "s"),
            (&[9, 0, 0, 0][..], "ay"),
            (&[1, b'(', 0][..], "v"),
            (&[0; 8][..], "z"),
            (&[0; 8][..], "(y"),
        ] {
            assert_eq!(Reader::new(bytes).values(signature), Err(Malformed), "{signature}");
        }
        let deep = [1, b'v', 0].repeat(40);
        assert_eq!(Reader::new(&deep).values("v"), Err(Malformed));
    }
}
