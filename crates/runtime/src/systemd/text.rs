//! GVariant text (GLib's "GVariant Text Format"), as `org.systemd.property.*` annotations carry it: `true`, `uint64 30`,
//! `'text'`, `['a', 'b']`, `@as []`, `(1, 'x')`. Strict and bounded: what is not understood is an error, never a guess.

use super::wire::{Value, split};

/// An annotation longer than this is no property.
const LENGTH: usize = 4096;
const DEPTH: u8 = 4;

/// The value of `text`, or what is wrong with it.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    if text.len() > LENGTH {
        return Err(format!("longer than {LENGTH} bytes"));
    }
    let mut parser = Parser { rest: text };
    let value = parser.value(None, DEPTH)?;
    parser.skip();
    if parser.rest.is_empty() { Ok(value) } else { Err(format!("{:?} follows the value", parser.rest)) }
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn skip(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn take(&mut self, what: char) -> bool {
        self.skip();
        self.rest.strip_prefix(what).map(|rest| self.rest = rest).is_some()
    }

    fn word(&mut self, legal: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !legal(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    /// One value; `wanted` is the type that was named before it.
    fn value(&mut self, wanted: Option<&str>, depth: u8) -> Result<Value, String> {
        let depth = depth.checked_sub(1).ok_or("nested too deeply")?;
        self.skip();
        match self.rest.chars().next() {
            None => Err("no value".into()),
            Some('@') => {
                self.rest = &self.rest[1..];
                let signature = self.word(|c| !c.is_whitespace());
                match split(signature) {
                    Ok((_, "")) => self.value(Some(signature), depth),
                    _ => Err(format!("{signature:?} is no type")),
                }
            }
            Some(quote @ ('\'' | '"')) => text_as(self.quoted(quote)?, wanted.unwrap_or("s")),
            Some('[') => self.array(wanted, depth),
            Some('(') => self.structure(wanted, depth),
            Some(c) if c.is_ascii_digit() || matches!(c, '-' | '+' | '.') => {
                let word = self.word(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.'));
                number(word, wanted)
            }
            Some(_) => self.keyword(wanted, depth),
        }
    }

    fn keyword(&mut self, wanted: Option<&str>, depth: u8) -> Result<Value, String> {
        let word = self.word(|c| c.is_ascii_alphanumeric());
        let signature = match word {
            "true" | "false" if wanted.is_none_or(|w| w == "b") => return Ok(Value::Bool(word == "true")),
            "boolean" => "b",
            "byte" => "y",
            "int16" => "n",
            "uint16" => "q",
            "int32" => "i",
            "uint32" => "u",
            "int64" => "x",
            "uint64" => "t",
            "double" => "d",
            "string" => "s",
            "objectpath" => "o",
            "signature" => "g",
            _ => return Err(format!("cannot read {:?}", format!("{word}{}", self.rest))),
        };
        if wanted.is_some_and(|w| w != signature) {
            return Err(format!("{word} is not of the type that was named before it"));
        }
        self.value(Some(signature), depth)
    }

    fn quoted(&mut self, quote: char) -> Result<String, String> {
        let mut chars = self.rest[1..].char_indices();
        let mut out = String::new();
        while let Some((at, c)) = chars.next() {
            match c {
                _ if c == quote => {
                    self.rest = &self.rest[1 + at + c.len_utf8()..];
                    return Ok(out);
                }
                '\\' => out.push(match chars.next() {
                    Some((_, 'n')) => '\n',
                    Some((_, 't')) => '\t',
                    Some((_, c @ ('\\' | '\'' | '"'))) => c,
                    _ => return Err("unknown escape in a string".into()),
                }),
                '\0' => return Err("a string with a zero byte".into()),
                _ => out.push(c),
            }
        }
        Err("a string without end".into())
    }

    fn array(&mut self, wanted: Option<&str>, depth: u8) -> Result<Value, String> {
        self.take('[');
        let mut of = match wanted {
            None => None,
            Some(signature) => Some(signature.strip_prefix('a').ok_or("an array where its type is none")?.to_owned()),
        };
        let mut items = Vec::new();
        while !self.take(']') {
            if !items.is_empty() && !self.take(',') {
                return Err("no comma between the elements of an array".into());
            }
            let item = self.value(of.as_deref(), depth)?;
            let own = item.signature();
            match &of {
                Some(of) if *of != own => return Err("an array of several types".into()),
                _ => of = Some(own),
            }
            items.push(item);
        }
        Ok(Value::Array(of.ok_or("an empty array needs its type: @as []")?, items))
    }

    fn structure(&mut self, wanted: Option<&str>, depth: u8) -> Result<Value, String> {
        self.take('(');
        let mut types = wanted.map(|w| w.strip_prefix('(').and_then(|w| w.strip_suffix(')')).ok_or("not a structure"));
        let mut fields = Vec::new();
        while !self.take(')') {
            if !fields.is_empty() && !self.take(',') {
                return Err("no comma between the fields of a structure".into());
            }
            // A structure of one field is written with a comma after it.
            if !fields.is_empty() && self.take(')') {
                break;
            }
            let one = match types.take() {
                None => None,
                Some(list) => {
                    let (one, rest) = split(list?).map_err(|_| "more fields than its type has")?;
                    types = Some(Ok(rest));
                    Some(one)
                }
            };
            fields.push(self.value(one, depth)?);
        }
        if fields.is_empty() { Err("an empty structure".into()) } else { Ok(Value::Struct(fields)) }
    }
}

fn text_as(text: String, signature: &str) -> Result<Value, String> {
    match signature {
        "s" => Ok(Value::Str(text)),
        "o" if text.starts_with('/') => Ok(Value::Path(text)),
        "v" => Ok(Value::Str(text).variant()),
        _ => Err(format!("a string where {signature:?} is wanted")),
    }
}

/// Without a type a whole number is an int32, one with a point a double.
fn number(word: &str, wanted: Option<&str>) -> Result<Value, String> {
    let signature = wanted.unwrap_or(if word.contains('.') { "d" } else { "i" });
    let whole = || -> Option<i128> {
        let (sign, digits) = match word.strip_prefix('-') {
            Some(digits) => (-1, digits),
            None => (1, word.strip_prefix('+').unwrap_or(word)),
        };
        let value = match digits.strip_prefix("0x") {
            Some(hex) => i128::from_str_radix(hex, 16).ok()?,
            None => digits.parse().ok()?,
        };
        Some(sign * value)
    };
    let value = match signature {
        "y" => whole().and_then(|v| v.try_into().ok()).map(Value::Byte),
        "n" => whole().and_then(|v| v.try_into().ok()).map(Value::I16),
        "q" => whole().and_then(|v| v.try_into().ok()).map(Value::U16),
        "i" => whole().and_then(|v| v.try_into().ok()).map(Value::I32),
        "u" => whole().and_then(|v| v.try_into().ok()).map(Value::U32),
        "x" => whole().and_then(|v| v.try_into().ok()).map(Value::I64),
        "t" => whole().and_then(|v| v.try_into().ok()).map(Value::U64),
        "d" => word.parse().ok().filter(|v: &f64| v.is_finite()).map(Value::Double),
        _ => None,
    };
    value.ok_or_else(|| format!("{word} is no number of type {signature:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_engines_write() {
        assert_eq!(parse("true"), Ok(Value::Bool(true)));
        assert_eq!(parse("uint64 123456"), Ok(Value::U64(123_456)));
        assert_eq!(parse(" 5 "), Ok(Value::I32(5)));
        assert_eq!(parse("'inactive-or-failed'"), Ok(Value::str("inactive-or-failed")));
        assert_eq!(parse("\"a\\\"b\""), Ok(Value::str("a\"b")));
        let list = Value::Array("s".into(), vec![Value::str("a"), Value::str("b")]);
        assert_eq!(parse("['a', 'b']"), Ok(list));
        assert_eq!(parse("@as []"), Ok(Value::Array("s".into(), Vec::new())));
        assert_eq!(parse("('x', uint32 2)"), Ok(Value::Struct(vec![Value::str("x"), Value::U32(2)])));
        assert_eq!(parse("@at [1, 2]").map(|v| v.signature()), Ok("at".into()));
        assert_eq!(parse("-1.5"), Ok(Value::Double(-1.5)));
    }

    #[test]
    fn what_is_refused() {
        let deep = "[".repeat(9);
        let long = format!("'{}'", "x".repeat(5000));
        for bad in [
            "",
            "tru",
            "'a",
            "[1, 'a']",
            "[]",
            "uint32 -1",
            "byte 256",
            "5 6",
            "@zz 1",
            "()",
            "uint64 'a'",
            &deep,
            &long,
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
