//! A connection to systemd: its private socket, the system bus, or the user's bus. Synchronous; every wait has a deadline.

use super::wire::{Malformed, Reader, Value, Writer};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// How long systemd may take for one call, or for a job to be done.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// A message of systemd is a few hundred bytes; the specification allows 128 MiB.
const MESSAGE: usize = 1 << 20;
/// The line with which the other side accepts us.
const LINE: usize = 512;

const CALL: u8 = 1;
const REPLY: u8 = 2;
const ERROR: u8 = 3;
const SIGNAL: u8 = 4;

/// What can go wrong with a call.
#[derive(Debug)]
pub(crate) enum BusError {
    Io(io::Error),
    Malformed,
    /// The other side's own error: its name and text.
    Refused(String, String),
}

impl From<io::Error> for BusError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Malformed> for BusError {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

impl std::fmt::Display for BusError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::Malformed => f.write_str("malformed D-Bus message"),
            Self::Refused(name, text) => write!(f, "{text} ({name})"),
        }
    }
}

impl BusError {
    pub(crate) fn is(&self, name: &str) -> bool {
        matches!(self, Self::Refused(own, _) if own == name)
    }
}

/// A message that came in.
#[derive(Debug)]
pub(crate) struct Incoming {
    kind: u8,
    reply_to: u32,
    /// The signal's name, or the error's.
    pub member: String,
    pub body: Vec<Value>,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Bus {
    stream: UnixStream,
    serial: u32,
    /// Signals that came while a reply was waited for.
    pub signals: Vec<Incoming>,
    /// A bus routes by name; systemd's private socket has only one at the other end.
    is_bus: bool,
}

const SYSTEMD: &str = "org.freedesktop.systemd1";
const BUS: &str = "org.freedesktop.DBus";

impl Bus {
    /// systemd's own socket.
    pub(crate) fn direct(path: &str, uid: u32) -> Result<Self, BusError> {
        Self::open(path, uid, false)
    }

    /// A message bus: greets it and asks it for the signals of finished jobs.
    pub(crate) fn routed(path: &str, uid: u32) -> Result<Self, BusError> {
        let mut bus = Self::open(path, uid, true)?;
        bus.call_to(BUS, "/org/freedesktop/DBus", BUS, "Hello", &[])?;
        let rule = format!("type='signal',sender='{SYSTEMD}',interface='{SYSTEMD}.Manager',member='JobRemoved'");
        bus.call_to(BUS, "/org/freedesktop/DBus", BUS, "AddMatch", &[Value::Str(rule)])?;
        bus.manager("Subscribe", &[])?;
        Ok(bus)
    }

    /// `uid` is ours as the other side sees it.
    fn open(path: &str, uid: u32, is_bus: bool) -> Result<Self, BusError> {
        let mut stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let hex: String = uid.to_string().bytes().map(|b| format!("{b:02x}")).collect();
        // BEGIN goes with it, as sd-bus does it: a message that systemd reads together with a later BEGIN is not looked at
        // before more comes.
        stream.write_all(format!("\0AUTH EXTERNAL {hex}\r\nBEGIN\r\n").as_bytes())?;
        let answer = line(&mut stream)?;
        if !answer.starts_with("OK ") {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("not accepted: {answer}")).into());
        }
        Ok(Self { stream, serial: 0, signals: Vec::new(), is_bus })
    }

    /// A method of systemd's manager.
    pub(crate) fn manager(&mut self, method: &str, body: &[Value]) -> Result<Vec<Value>, BusError> {
        self.call_to(SYSTEMD, "/org/freedesktop/systemd1", &format!("{SYSTEMD}.Manager"), method, body)
    }

    /// A property of systemd's manager.
    pub(crate) fn property(&mut self, name: &str) -> Result<Value, BusError> {
        let body = [Value::str(format!("{SYSTEMD}.Manager")), Value::str(name)];
        let properties = "org.freedesktop.DBus.Properties";
        let got = self.call_to(SYSTEMD, "/org/freedesktop/systemd1", properties, "Get", &body)?;
        got.into_iter().next().ok_or(BusError::Malformed)
    }

    fn call_to(
        &mut self,
        to: &str,
        path: &str,
        interface: &str,
        method: &str,
        body: &[Value],
    ) -> Result<Vec<Value>, BusError> {
        self.serial += 1;
        let serial = self.serial;
        let to = self.is_bus.then_some(to);
        self.stream.write_all(&message(serial, to, path, interface, method, body))?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let incoming = self.receive(deadline)?;
            match incoming.kind {
                REPLY if incoming.reply_to == serial => return Ok(incoming.body),
                ERROR if incoming.reply_to == serial => {
                    let text = incoming.body.first().and_then(Value::text).unwrap_or_default().to_owned();
                    return Err(BusError::Refused(incoming.member, text));
                }
                SIGNAL => self.signals.push(incoming),
                _ => {}
            }
        }
    }

    /// The next signal.
    pub(crate) fn signal(&mut self, deadline: Instant) -> Result<Incoming, BusError> {
        if !self.signals.is_empty() {
            return Ok(self.signals.remove(0));
        }
        loop {
            let incoming = self.receive(deadline)?;
            if incoming.kind == SIGNAL {
                return Ok(incoming);
            }
        }
    }

    fn receive(&mut self, deadline: Instant) -> Result<Incoming, BusError> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::Error::from(io::ErrorKind::TimedOut).into());
        }
        self.stream.set_read_timeout(Some(left))?;
        let mut head = [0u8; 16];
        self.stream.read_exact(&mut head)?;
        if head[0] != b'l' {
            return Err(BusError::Malformed);
        }
        let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]) as usize;
        let (body, fields) = (number(4), number(12));
        let rest = fields.next_multiple_of(8).checked_add(body).filter(|size| *size <= MESSAGE);
        let mut bytes = head.to_vec();
        bytes.resize(16 + rest.ok_or(BusError::Malformed)?, 0);
        self.stream.read_exact(&mut bytes[16..])?;
        parse(&bytes, fields)
    }
}

fn line(stream: &mut UnixStream) -> io::Result<String> {
    let mut out = Vec::new();
    let mut byte = [0u8];
    while out.len() < LINE {
        stream.read_exact(&mut byte)?;
        match byte[0] {
            b'\n' => return Ok(String::from_utf8_lossy(&out).trim_end().to_owned()),
            other => out.push(other),
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

/// Header fields by their codes: path, interface, member, error name, reply serial, destination, sender, signature.
fn message(serial: u32, to: Option<&str>, path: &str, interface: &str, method: &str, body: &[Value]) -> Vec<u8> {
    let mut content = Writer::default();
    body.iter().for_each(|value| content.value(value));
    let signature: String = body.iter().map(Value::signature).collect();
    let field = |code: u8, value: Value| Value::Struct(vec![Value::Byte(code), value.variant()]);
    let mut fields =
        vec![field(1, Value::Path(path.to_owned())), field(2, Value::str(interface)), field(3, Value::str(method))];
    fields.extend(to.map(|to| field(6, Value::str(to))));
    if !signature.is_empty() {
        fields.push(field(8, Value::Signature(signature)));
    }
    let mut out = Writer(vec![b'l', CALL, 0, 1]);
    out.u32(u32::try_from(content.0.len()).unwrap_or(u32::MAX));
    out.u32(serial);
    out.value(&Value::Array("(yv)".into(), fields));
    out.align(8);
    out.0.extend(content.0);
    out.0
}

fn parse(bytes: &[u8], fields: usize) -> Result<Incoming, BusError> {
    let mut reader = Reader::new(bytes);
    let mut incoming = Incoming { kind: bytes[1], reply_to: 0, member: String::new(), body: Vec::new() };
    let mut signature = String::new();
    reader.values("yyyyuu")?;
    let header = reader.values("a(yv)")?;
    let Some(Value::Array(_, list)) = header.first() else { return Err(BusError::Malformed) };
    for field in list {
        let Value::Struct(pair) = field else { continue };
        let [Value::Byte(code), Value::Variant(value)] = pair.as_slice() else { continue };
        match (code, value.as_ref()) {
            (3 | 4, Value::Str(name)) => incoming.member.clone_from(name),
            (5, Value::U32(serial)) => incoming.reply_to = *serial,
            (8, Value::Signature(text)) => signature.clone_from(text),
            _ => {}
        }
    }
    let body = bytes.get(16 + fields.next_multiple_of(8)..).ok_or(BusError::Malformed)?;
    incoming.body = Reader::new(body).values(&signature)?;
    Ok(incoming)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_reads_back() {
        let body = [Value::str("a.scope"), Value::Array("(sv)".into(), Vec::new())];
        let bytes = message(3, Some("x.y"), "/p", "i.f", "Do", &body);
        let fields = u32::from_le_bytes([bytes[12], bytes[13], bytes[14], bytes[15]]) as usize;
        let got = parse(&bytes, fields).expect("parses");
        assert_eq!((got.kind, got.member.as_str()), (CALL, "Do"));
        assert_eq!(got.body, body);
    }

    #[test]
    fn nonsense_is_an_error() {
        assert!(parse(&[b'l'; 32], 8).is_err());
    }
}
