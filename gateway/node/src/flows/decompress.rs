//! A body without its compression, piece by piece, held to its limits.
//!
//! The decompressor writes straight into its [`Sink`]: a bomb meets the limit inside that write, before its bytes exist.

use std::io::{self, Write};

use simpul_core::digest::{Digest, Digester};

use super::intake::IntakeError;

/// The compression of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// None.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 8878, with a window of at most 8 MiB.
    Zstd,
}

/// What one body may become.
#[derive(Clone, Copy, Debug)]
pub struct DecodeLimits {
    /// Bytes after decompression.
    pub decoded_bytes: u64,
    /// Decompressed bytes per byte on the wire, beyond the first megabyte.
    pub decoded_ratio: u64,
}

/// What takes the decompressed bytes.
pub trait Sink {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// The body ends with this error.
    fn take(&mut self, bytes: &[u8]) -> Result<(), IntakeError>;
}

/// For a body of which only the digest matters.
impl Sink for () {
    fn take(&mut self, _bytes: &[u8]) -> Result<(), IntakeError> {
        Ok(())
    }
}

/// A body that was taken to its end.
pub struct Ended<S> {
    /// What took the bytes.
    pub sink: S,
    /// SHA-256 of the bytes on the wire.
    pub wire: Digest,
    /// SHA-256 of the decompressed bytes.
    pub payload: Digest,
}

/// A body on its way into `S`.
pub struct Decompress<S: Sink>(Decoder<S>);

enum Decoder<S: Sink> {
    Identity(Box<Guard<S>>),
    Gzip(Box<flate2::write::MultiGzDecoder<Guard<S>>>),
    Zstd(Box<zstd::stream::zio::Writer<Guard<S>, zstd::stream::raw::Decoder<'static>>>),
}

struct Guard<S> {
    sink: S,
    limits: DecodeLimits,
    wire: Digester,
    /// Nothing while what is decompressed is what comes over the wire.
    payload: Option<Digester>,
    wire_bytes: u64,
    decoded_bytes: u64,
    /// Set when a write failed for a reason of ours, which the decompressor would hide behind its own.
    failed: Option<IntakeError>,
}

impl<S: Sink> Decompress<S> {
    /// A body under `coding` on its way into `sink`.
    ///
    /// # Errors
    /// When the decompressor cannot be made.
    pub fn new(coding: Coding, limits: DecodeLimits, sink: S) -> Result<Self, IntakeError> {
        let guard = Guard {
            sink,
            limits,
            wire: Digester::default(),
            payload: (coding != Coding::Identity).then(Digester::default),
            wire_bytes: 0,
            decoded_bytes: 0,
            failed: None,
        };
        let corrupt = |error: io::Error| IntakeError::Corrupt(error.to_string());
        Ok(Self(match coding {
            Coding::Identity => Decoder::Identity(Box::new(guard)),
            Coding::Gzip => Decoder::Gzip(Box::new(flate2::write::MultiGzDecoder::new(guard))),
            Coding::Zstd => {
                let mut raw = zstd::stream::raw::Decoder::new().map_err(corrupt)?;
                raw.set_parameter(zstd::stream::raw::DParameter::WindowLogMax(23)).map_err(corrupt)?;
                Decoder::Zstd(Box::new(zstd::stream::zio::Writer::new(guard, raw)))
            }
        }))
    }

    /// Takes the next bytes from the wire.
    ///
    /// # Errors
    /// The first [`IntakeError`]; the body cannot go on after it.
    pub fn push(&mut self, chunk: &[u8]) -> Result<(), IntakeError> {
        let guard = self.guard();
        guard.wire.update(chunk);
        guard.wire_bytes += chunk.len() as u64;
        let result = match &mut self.0 {
            Decoder::Identity(guard) => guard.write_all(chunk),
            Decoder::Gzip(decoder) => decoder.write_all(chunk),
            Decoder::Zstd(decoder) => decoder.write_all(chunk),
        };
        result.map_err(|error| self.guard().reason(&error))
    }

    /// The body is complete.
    ///
    /// # Errors
    /// [`IntakeError::Corrupt`] when the compressed stream ends early or its checksum does not hold.
    pub fn finish(mut self) -> Result<Ended<S>, IntakeError> {
        let nothing = self.guard().wire_bytes == 0;
        let ended = match &mut self.0 {
            Decoder::Identity(_) => Ok(()),
            _ if nothing => Err(io::Error::other("the compressed body is empty")),
            Decoder::Gzip(decoder) => decoder.try_finish(),
            Decoder::Zstd(decoder) => decoder.finish(),
        };
        ended.map_err(|error| self.guard().reason(&error))?;
        let guard = match self.0 {
            Decoder::Identity(guard) => *guard,
            Decoder::Gzip(decoder) => decoder.finish().map_err(|error| IntakeError::Corrupt(error.to_string()))?,
            Decoder::Zstd(decoder) => decoder.into_inner().0,
        };
        let wire = guard.wire.finish();
        Ok(Ended { sink: guard.sink, wire, payload: guard.payload.map_or(wire, Digester::finish) })
    }

    /// Where the bytes go.
    pub fn sink(&mut self) -> &mut S {
        &mut self.guard().sink
    }

    fn guard(&mut self) -> &mut Guard<S> {
        match &mut self.0 {
            Decoder::Identity(guard) => guard,
            Decoder::Gzip(decoder) => decoder.get_mut(),
            Decoder::Zstd(decoder) => decoder.writer_mut(),
        }
    }
}

impl<S: Sink> Guard<S> {
    /// The reason behind a failed write: ours if there is one, else the decompressor's.
    fn reason(&mut self, error: &io::Error) -> IntakeError {
        // The library's binding hands its error codes on as texts only.
        let too_wide = error.to_string().contains("too much memory for decoding");
        let other = || if too_wide { IntakeError::Window } else { IntakeError::Corrupt(error.to_string()) };
        self.failed.take().unwrap_or_else(other)
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), IntakeError> {
        self.decoded_bytes += bytes.len() as u64;
        if self.decoded_bytes > self.limits.decoded_bytes {
            return Err(IntakeError::TooLarge("the decompressed body is larger than allowed"));
        }
        let allowed = (1 << 20) + self.wire_bytes.saturating_mul(self.limits.decoded_ratio);
        if self.decoded_bytes > allowed {
            return Err(IntakeError::TooLarge("the body grows too much when it is decompressed"));
        }
        if let Some(payload) = &mut self.payload {
            payload.update(bytes);
        }
        self.sink.take(bytes)
    }
}

impl<S: Sink> Write for Guard<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.take(bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(error) => {
                self.failed = Some(error);
                Err(io::Error::other("the body is refused"))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: DecodeLimits = DecodeLimits { decoded_bytes: 64 << 20, decoded_ratio: 200 };

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn pass(coding: Coding, body: &[u8]) -> Result<Digest, IntakeError> {
        let mut decompress = Decompress::new(coding, LIMITS, ())?;
        for chunk in body.chunks(1000) {
            decompress.push(chunk)?;
        }
        Ok(decompress.finish()?.payload)
    }

    #[test]
    fn every_coding_gives_the_same_payload() {
        let text = "kode;nama\n64.02;Kutai Kartanegara\n".repeat(500);
        let plain = Digest::of(text.as_bytes());
        assert_eq!(pass(Coding::Identity, text.as_bytes()).unwrap(), plain);
        assert_eq!(pass(Coding::Gzip, &gzip(text.as_bytes())).unwrap(), plain);
        let packed = zstd::stream::encode_all(text.as_bytes(), 1).unwrap();
        assert_eq!(pass(Coding::Zstd, &packed).unwrap(), plain);
    }

    #[test]
    fn a_stream_that_ends_early_or_has_a_wrong_checksum_is_corrupt() {
        let text = "a;b\n1;2\n".repeat(5000);
        let gz = gzip(text.as_bytes());
        let zst = zstd::stream::encode_all(text.as_bytes(), 1).unwrap();
        let mut wrong = gz.clone();
        let at = wrong.len() - 6;
        wrong[at] ^= 1;
        for (coding, body) in [
            (Coding::Gzip, &gz[..gz.len() - 4]),
            (Coding::Gzip, &wrong[..]),
            (Coding::Gzip, &b"not gzip at all"[..]),
            (Coding::Gzip, &b""[..]),
            (Coding::Zstd, &zst[..zst.len() - 4]),
            (Coding::Zstd, &b"not zstd at all"[..]),
            (Coding::Zstd, &b""[..]),
        ] {
            assert!(matches!(pass(coding, body), Err(IntakeError::Corrupt(_))), "{coding:?} {}", body.len());
        }
    }

    #[test]
    fn a_window_of_more_than_8_mib_is_refused_as_such() {
        let frame = |log: u8| [0x28, 0xb5, 0x2f, 0xfd, 0, (log - 10) << 3, 0x09, 0, 0, b'a'];
        assert_eq!(pass(Coding::Zstd, &frame(23)).unwrap(), Digest::of(b"a"));
        assert!(matches!(pass(Coding::Zstd, &frame(24)), Err(IntakeError::Window)));
    }

    #[test]
    fn a_bomb_is_refused_before_it_unfolds() {
        let zeros = vec![0_u8; 48 << 20];
        let zst = zstd::stream::encode_all(&zeros[..], 3).unwrap();
        let gz = gzip(&zeros);
        assert!(matches!(pass(Coding::Gzip, &gz), Err(IntakeError::TooLarge(_))));
        assert!(matches!(pass(Coding::Zstd, &zst), Err(IntakeError::TooLarge(_) | IntakeError::Corrupt(_))));
    }
}
