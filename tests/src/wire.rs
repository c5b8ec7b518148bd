//! Connections below HTTP: bytes as a test wants them, and what the other side says when it refuses.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use simpul_certs::tls::provider;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::Credential;

/// The time that a single read may take.
const READ: Duration = Duration::from_secs(60);

/// A TLS 1.3 configuration that believes the root certificates in the file `ca` and shows `credential` as it is.
///
/// # Panics
/// When the files cannot be used.
#[must_use]
pub fn tls_config(ca: &Path, credential: Option<&Credential>) -> ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).expect("the root certificate") {
        roots.add(certificate.expect("a certificate in PEM")).expect("a root certificate");
    }
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_root_certificates(roots);
    let Some(credential) = credential else { return builder.with_no_client_auth() };
    let key = PrivateKeyDer::from_pem_slice(credential.key_pem.as_bytes()).expect("a key in PEM");
    let key = provider().key_provider.load_private_key(key).expect("a key that can sign");
    builder
        .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(CertifiedKey::new(credential.chain.clone(), key))))
}

/// A TLS connection on which a test writes what it wants.
pub struct Wire(pub TlsStream<TcpStream>);

impl Wire {
    /// Connects and shakes hands. With TLS 1.3 a refused client certificate shows at the first read, not here.
    ///
    /// # Errors
    /// When no connection comes about.
    pub async fn open(address: SocketAddr, config: ClientConfig) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::from(address.ip());
        let shaking = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream);
        tokio::time::timeout(READ, shaking).await.map_err(|_| io::ErrorKind::TimedOut)?.map(Self)
    }

    /// Writes `bytes`.
    ///
    /// # Errors
    /// When the other side is gone.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes).await?;
        self.0.flush().await
    }

    /// Reads until the other side closes; a minute without a byte is an error.
    ///
    /// # Errors
    /// The alert, when one comes ([`alert_of`]); a broken connection.
    pub async fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        let mut read = Vec::new();
        let mut piece = [0; 16 << 10];
        loop {
            let got = tokio::time::timeout(READ, self.0.read(&mut piece)).await.map_err(|_| io::ErrorKind::TimedOut)?;
            match got {
                Ok(0) => return Ok(read),
                Ok(count) => read.extend_from_slice(&piece[..count]),
                // A peer that closes without a TLS goodbye has still answered.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && !read.is_empty() => return Ok(read),
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads one HTTP/1.1 answer with a `Content-Length`, and leaves the connection open: status, head, body.
    ///
    /// # Errors
    /// When the connection ends or what comes is no such answer.
    pub async fn read_answer(&mut self) -> io::Result<(u16, String, Vec<u8>)> {
        let mut read = Vec::new();
        let mut byte = [0; 1];
        while !read.ends_with(b"\r\n\r\n") {
            let got = tokio::time::timeout(READ, self.0.read(&mut byte)).await.map_err(|_| io::ErrorKind::TimedOut)?;
            if got? == 0 || read.len() > 64 << 10 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            read.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&read).into_owned();
        let status = head.split(' ').nth(1).and_then(|text| text.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
        });
        let mut body = vec![0; length.unwrap_or(0)];
        tokio::time::timeout(READ, self.0.read_exact(&mut body)).await.map_err(|_| io::ErrorKind::TimedOut)??;
        Ok((status, head, body))
    }
}

/// The name of the TLS alert (RFC 8446, section 6) inside an error, such as `certificate_revoked`.
#[must_use]
pub fn alert_of(error: &io::Error) -> Option<String> {
    let inner = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    let rustls::Error::AlertReceived(alert) = inner else { return None };
    let name = match format!("{alert:?}").as_str() {
        "UnknownCA" => "unknown_ca".to_owned(),
        other => other.chars().fold(String::new(), |mut name, letter| {
            if letter.is_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.extend(letter.to_lowercase());
            name
        }),
    };
    Some(name)
}

/// Sends `request` in clear and reads the answer to its end.
///
/// # Errors
/// When the connection breaks.
pub(crate) async fn plain(address: SocketAddr, request: &[u8]) -> io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request).await?;
    let mut read = Vec::new();
    tokio::time::timeout(READ, stream.read_to_end(&mut read)).await.map_err(|_| io::ErrorKind::TimedOut)??;
    Ok(String::from_utf8_lossy(&read).into_owned())
}
