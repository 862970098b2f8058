//! Files as the stub sees them ("File-I/O", host I/O packets).

use std::io;

use super::connection::{Connection, to_hex};

/// Bytes read at once: escaped, they must fit into the stub's packets.
const CHUNK: usize = 0x600;

/// A whole file; `None` if the stub opens no files, or not this one.
pub(crate) fn read(connection: &mut Connection, path: &str) -> io::Result<Option<Vec<u8>>> {
    let open = format!("vFile:open:{},0,0", to_hex(path.as_bytes()));
    let Some((fd, _)) = result(connection.ask(open.as_bytes())?) else { return Ok(None) };
    let mut contents = Vec::new();
    loop {
        let read = format!("vFile:pread:{fd:x},{CHUNK:x},{:x}", contents.len());
        let answer = connection.ask(read.as_bytes())?;
        match result(answer) {
            Some((len, bytes)) if len > 0 && !bytes.is_empty() => {
                contents.extend_from_slice(bytes);
            }
            _ => break,
        }
    }
    connection.ask(format!("vFile:close:{fd:x}").as_bytes())?;
    Ok(Some(contents))
}

/// `F` result `;` attachment: what is not negative.
fn result(answer: &[u8]) -> Option<(u64, &[u8])> {
    let rest = answer.strip_prefix(b"F")?;
    let end = rest.iter().position(|&byte| matches!(byte, b';' | b',')).unwrap_or(rest.len());
    let number = u64::from_str_radix(std::str::from_utf8(&rest[..end]).ok()?, 16).ok()?;
    Some((number, rest.get(end + 1..).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_have_a_number_and_may_have_bytes() {
        assert_eq!(result(b"F5"), Some((5, &b""[..])));
        assert_eq!(result(b"F3;a;b"), Some((3, &b"a;b"[..])));
        assert_eq!((result(b"F-1,2"), result(b"")), (None, None));
    }
}
