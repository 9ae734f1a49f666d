//! Bodies that came compressed, undone within a limit.

use std::io::{self, Read};

use bytes::Bytes;

use super::ProxyError;
use crate::admission::{BodyRoom, MemoryFull};

/// The number of bytes that are decoded before it is looked whether there is room for more.
const PIECE: usize = 64 << 10;

/// The largest window of zstd that is decoded: the decoder holds as many bytes, whatever becomes of them. RFC 9659 has
/// no larger ones in HTTP.
const ZSTD_WINDOW: u64 = 8 << 20;

/// Undoes the encoding that the header names. None where there is none to undo. `room` has room for the body as it came,
/// and afterwards for the larger of both.
///
/// # Errors
/// An encoding that is not known, a body that is not what it says, one of more than `limit` bytes once decoded, or one
/// that other requests leave no room for.
pub(super) fn decoded(
    encoding: &str,
    body: &Bytes,
    limit: usize,
    room: &mut BodyRoom,
) -> Result<Option<Bytes>, ProxyError> {
    let mut read = |mut reader: &mut dyn Read| read(&mut reader, limit, room);
    let (name, decoded) = match encoding.trim().to_ascii_lowercase().as_str() {
        "" | "identity" => return Ok(None),
        // Some clients join several gzip members, as the format allows.
        "gzip" | "x-gzip" => ("gzip", read(&mut flate2::read::MultiGzDecoder::new(&body[..]))),
        "br" => ("br", read(&mut brotli_decompressor::Decompressor::new(&body[..], 4096))),
        "zstd" => ("zstd", zstd(body).and_then(|mut decoder| read(&mut decoder))),
        other => return Err(ProxyError::Encoding(other.chars().take(40).collect())),
    };
    match decoded {
        Ok(decoded) => {
            room.shrink(decoded.len().max(body.len()));
            Ok(Some(decoded.into()))
        }
        Err(Stop::TooLarge) => Err(ProxyError::TooLarge(limit)),
        Err(Stop::Full(full)) => Err(full.into()),
        Err(Stop::Broken(error)) => {
            Err(ProxyError::Undecodable { encoding: name, reason: error.to_string() })
        }
    }
}

/// The reason for which a body was not decoded to its end.
enum Stop {
    TooLarge,
    Full(MemoryFull),
    Broken(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

/// All of `reader`, with room for each piece before it is there.
fn read(reader: &mut impl Read, limit: usize, room: &mut BodyRoom) -> Result<Vec<u8>, Stop> {
    let mut decoded = Vec::new();
    while decoded.len() < limit {
        let more = PIECE.min(limit - decoded.len());
        room.reserve(&mut decoded, more, limit).map_err(Stop::Full)?;
        if reader.by_ref().take(more as u64).read_to_end(&mut decoded)? < more {
            decoded.shrink_to_fit();
            return Ok(decoded);
        }
    }
    if reader.read(&mut [0])? == 0 { Ok(decoded) } else { Err(Stop::TooLarge) }
}

type Zstd<'a> = ruzstd::decoding::StreamingDecoder<&'a [u8], ruzstd::decoding::FrameDecoder>;

fn zstd(body: &[u8]) -> Result<Zstd<'_>, Stop> {
    // The decoder itself takes any window, and gives no byte before it holds so many.
    if window(body).is_some_and(|window| window > ZSTD_WINDOW) {
        let reason = format!("its window is larger than the {} MiB of RFC 9659", ZSTD_WINDOW >> 20);
        return Err(Stop::Broken(io::Error::other(reason)));
    }
    Ok(ruzstd::decoding::StreamingDecoder::new(body).map_err(io::Error::other)?)
}

/// The bytes that the decoder of a frame of zstd must hold, by its header (RFC 8878, section 3.1.1.1). None where the
/// header is cut.
fn window(frame: &[u8]) -> Option<u64> {
    let (&descriptor, rest) = frame.get(4..)?.split_first()?;
    let single_segment = descriptor & 0x20 != 0;
    if !single_segment {
        let (exponent, mantissa) = (rest.first()? >> 3, u64::from(rest.first()? & 7));
        let base = 1_u64 << (10 + exponent);
        return Some(base + base / 8 * mantissa);
    }
    // All of the content is the window.
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let size = [1, 2, 4, 8][usize::from(descriptor >> 6)];
    let mut bytes = [0; 8];
    bytes[..size].copy_from_slice(rest.get(dictionary..dictionary + size)?);
    Some(u64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::admission::BodyMemory;

    fn decoded(encoding: &str, body: &Bytes, limit: usize) -> Result<Option<Bytes>, ProxyError> {
        super::decoded(encoding, body, limit, &mut BodyMemory::new(64 << 20).room())
    }

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

    #[test]
    fn a_zstd_frame_with_a_window_that_no_decoder_should_hold_is_refused() {
        // Blocks of one byte that stands for 128 KiB each, 256 MiB in all, in a window of as many.
        let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 18 << 3];
        for block in 0..2048_u32 {
            let header = (128 << 10) << 3 | 1 << 1 | u32::from(block == 2047);
            frame.extend_from_slice(&header.to_le_bytes()[..3]);
            frame.push(b' ');
        }
        let error = decoded("zstd", &frame.clone().into(), 1 << 20).unwrap_err();
        assert!(error.to_string().contains("larger than the 8 MiB"), "{error}");
        frame[5] = 13 << 3;
        assert!(matches!(decoded("zstd", &frame.into(), 1 << 20), Err(ProxyError::TooLarge(_))));
        // A single segment of 2^60 bytes.
        let header = [0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 0, 0, 0, 0x10];
        assert_eq!(window(&header), Some(1 << 60));
        assert_eq!(window(&header[..9]), None);
    }

    #[test]
    fn what_is_decoded_takes_room_before_it_is_there() {
        let memory = BodyMemory::new(1 << 20);
        let bomb = gzip(&vec![b' '; 4 << 20]);
        let error = super::decoded("gzip", &bomb, 8 << 20, &mut memory.room()).unwrap_err();
        assert!(matches!(error, ProxyError::MemoryFull(_)), "{error}");
        let whole = gzip(&vec![b' '; 1 << 20]);
        let mut room = memory.room();
        let body = super::decoded("gzip", &whole, 1 << 20, &mut room).unwrap().unwrap();
        assert_eq!((body.len(), memory.fits(1)), (1 << 20, false));
        drop(room);
        let mut room = memory.room();
        super::decoded("gzip", &gzip(b"{}"), 1 << 20, &mut room).unwrap();
        assert!(memory.fits((1 << 20) - 1024), "what is not needed is given back");
    }
}
