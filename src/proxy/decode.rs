//! Bodies that came compressed, undone within a limit.

use std::io::{self, Read};

use bytes::Bytes;

use super::ProxyError;

/// Undoes the encoding that the header names. None where there is none to undo.
///
/// # Errors
/// An encoding that is not known, a body that is not what it says, or one of more than `limit` bytes once decoded.
pub(super) fn decoded(encoding: &str, body: &Bytes, limit: usize) -> Result<Option<Bytes>, ProxyError> {
    let (name, decoded) = match encoding.trim().to_ascii_lowercase().as_str() {
        "" | "identity" => return Ok(None),
        // Some clients join several gzip members, as the format allows.
        "gzip" | "x-gzip" => ("gzip", read(flate2::read::MultiGzDecoder::new(&body[..]), limit)),
        "br" => ("br", read(brotli_decompressor::Decompressor::new(&body[..], 4096), limit)),
        "zstd" => ("zstd", zstd(body, limit)),
        other => return Err(ProxyError::Encoding(other.chars().take(40).collect())),
    };
    match decoded {
        Ok(Some(decoded)) => Ok(Some(decoded.into())),
        Ok(None) => Err(ProxyError::TooLarge(limit)),
        Err(error) => Err(ProxyError::Undecodable { encoding: name, reason: error.to_string() }),
    }
}

/// All of `reader`, or none where that is more than `limit` bytes.
fn read(reader: impl Read, limit: usize) -> io::Result<Option<Vec<u8>>> {
    let mut decoded = Vec::new();
    reader.take(limit as u64 + 1).read_to_end(&mut decoded)?;
    Ok((decoded.len() <= limit).then_some(decoded))
}

fn zstd(body: &[u8], limit: usize) -> io::Result<Option<Vec<u8>>> {
    // A frame states the window that its decoder must hold, whatever the body's own size.
    let decoder = ruzstd::decoding::StreamingDecoder::new(body).map_err(io::Error::other)?;
    read(decoder, limit)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(text: &[u8]) -> Bytes {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap().into()
    }

    fn zstd_of(text: &[u8]) -> Bytes {
        ruzstd::encoding::compress_to_vec(text, ruzstd::encoding::CompressionLevel::Fastest).into()
    }

    /// `some words, ` a thousand times, by node's zlib.
    const BROTLI: &[u8] = &[
        0x1b, 0xdf, 0x2e, 0xf8, 0x8d, 0x54, 0xb5, 0xbf, 0x06, 0x69, 0x7b, 0x9b, 0x53, 0x2c, 0x65, 0xb5, 0xca,
        0x65, 0xb5, 0x00, 0x10, 0xce, 0xec, 0x68, 0x02, 0x00,
    ];

    #[test]
    fn each_encoding_is_undone() {
        let text = "some words, ".repeat(1000);
        let bodies = [
            ("gzip", gzip(text.as_bytes())),
            (" ZSTD", zstd_of(text.as_bytes())),
            ("br", Bytes::from_static(BROTLI)),
        ];
        for (encoding, body) in bodies {
            assert_eq!(decoded(encoding, &body, 20_000).unwrap().unwrap(), text, "{encoding}");
            assert!(matches!(decoded(encoding, &body, text.len() - 1), Err(ProxyError::TooLarge(_))));
            assert!(decoded(encoding, &body, text.len()).is_ok());
            let broken = body.slice(..body.len() / 2);
            assert!(matches!(decoded(encoding, &broken, 20_000), Err(ProxyError::Undecodable { .. })));
            let other = Bytes::from_static(b"{\"model\": 1}");
            assert!(matches!(decoded(encoding, &other, 20_000), Err(ProxyError::Undecodable { .. })));
        }
        assert!(decoded("identity", &Bytes::new(), 0).unwrap().is_none());
        assert!(matches!(decoded("compress", &Bytes::new(), 10), Err(ProxyError::Encoding(_))));
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let bomb = gzip(&vec![b' '; 50 << 20]);
        assert!(bomb.len() < 100_000);
        assert!(matches!(decoded("gzip", &bomb, 1 << 20), Err(ProxyError::TooLarge(_))));
    }
}
