//! The encoding of protobuf: keys, varints, and fields one after the other.

/// How a field is laid out.
pub(crate) const VARINT: u32 = 0;
pub(crate) const FIXED64: u32 = 1;
pub(crate) const DELIMITED: u32 = 2;
pub(crate) const FIXED32: u32 = 5;

/// The longest varint, in bytes.
pub(crate) const LONGEST_VARINT: usize = 10;

/// Appends a varint.
pub(crate) fn put_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// A value on the wire.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Delimited(&'a [u8]),
}

/// Bytes that are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Takes a varint off the front.
pub(crate) fn varint(bytes: &mut &[u8]) -> Result<u64, Malformed> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first().ok_or(Malformed)?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(Malformed)
}

pub(crate) fn fixed32(bytes: &mut &[u8]) -> Result<u32, Malformed> {
    let (head, rest) = bytes.split_first_chunk().ok_or(Malformed)?;
    *bytes = rest;
    Ok(u32::from_le_bytes(*head))
}

pub(crate) fn fixed64(bytes: &mut &[u8]) -> Result<u64, Malformed> {
    let (head, rest) = bytes.split_first_chunk().ok_or(Malformed)?;
    *bytes = rest;
    Ok(u64::from_le_bytes(*head))
}

/// The fields of a message, in the order of the wire.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    fn field(&mut self) -> Result<(u32, Value<'a>), Malformed> {
        let key = varint(&mut self.0)?;
        let number = u32::try_from(key >> 3).map_err(|_| Malformed)?;
        let value = match (key & 7) as u32 {
            VARINT => Value::Varint(varint(&mut self.0)?),
            FIXED64 => Value::Fixed64(fixed64(&mut self.0)?),
            FIXED32 => Value::Fixed32(fixed32(&mut self.0)?),
            DELIMITED => {
                let length = usize::try_from(varint(&mut self.0)?).map_err(|_| Malformed)?;
                let (value, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
                self.0 = rest;
                Value::Delimited(value)
            }
            _ => return Err(Malformed),
        };
        Ok((number, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}
