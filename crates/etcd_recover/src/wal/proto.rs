//! Protobuf as far as the log needs it.

/// The value of a field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Field<'a> {
    /// A varint.
    Number(u64),
    /// Anything with a length.
    Bytes(&'a [u8]),
    /// A fixed number, which the log has none of.
    Fixed,
}

/// Reads field by field; `None` once what lies there is no field, and then no more.
pub fn fields(message: &[u8]) -> impl Iterator<Item = Option<(u64, Field<'_>)>> {
    let mut rest = message;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let field = field(&mut rest);
        if field.is_none() {
            rest = &[];
        }
        Some(field)
    })
}

/// The last number of this field.
pub fn number(message: &[u8], wanted: u64) -> Option<u64> {
    let numbers = fields(message).filter_map(|field| match field {
        Some((at, Field::Number(number))) if at == wanted => Some(number),
        _ => None,
    });
    numbers.last()
}

/// The last bytes of this field.
pub fn bytes(message: &[u8], wanted: u64) -> Option<&[u8]> {
    let all = fields(message).filter_map(|field| match field {
        Some((at, Field::Bytes(bytes))) if at == wanted => Some(bytes),
        _ => None,
    });
    all.last()
}

/// Writes a varint field.
pub fn put(message: &mut Vec<u8>, field: u64, number: u64) {
    put_varint(message, field << 3);
    put_varint(message, number);
}

/// Writes a field of bytes.
pub fn put_bytes(message: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_varint(message, field << 3 | 2);
    put_varint(message, bytes.len() as u64);
    message.extend_from_slice(bytes);
}

fn put_varint(message: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        let [low, ..] = number.to_le_bytes();
        message.push(low | 0x80);
        number >>= 7;
    }
    let [low, ..] = number.to_le_bytes();
    message.push(low);
}

fn field<'a>(rest: &mut &'a [u8]) -> Option<(u64, Field<'a>)> {
    let tag = varint(rest)?;
    let field = match tag & 7 {
        0 => Field::Number(varint(rest)?),
        1 => fixed(rest, 8)?,
        2 => {
            let length = usize::try_from(varint(rest)?).ok()?;
            let (body, after) = rest.split_at_checked(length)?;
            *rest = after;
            Field::Bytes(body)
        }
        5 => fixed(rest, 4)?,
        _ => return None,
    };
    (tag >> 3 != 0).then_some((tag >> 3, field))
}

fn fixed<'a>(rest: &mut &'a [u8], length: usize) -> Option<Field<'a>> {
    *rest = rest.get(length..)?;
    Some(Field::Fixed)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let (mut value, mut shift) = (0_u64, 0_u32);
    loop {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f).checked_shl(shift)?;
        if first & 0x80 == 0 {
            return Some(value);
        }
        shift += 7;
    }
}
