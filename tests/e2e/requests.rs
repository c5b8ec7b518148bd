//! Requests that must be refused: NEGATIVE.md group C, and what the issue adds to it.

use std::time::Duration;

use anyhow::{Context, ensure};
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::json;
use simpul_core::digest::Digest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::limits::{narrow, within_memory};
use crate::lone::{
    Answer, Caller, Case, GOOD, HEADER, PATIENCE, PRODUCER, READER, converse, gzip, shared, shown, zstd,
};

/// One refusal of a delivery, from its request to its snapshot.
macro_rules! refused {
    ($case:expr, $name:literal, $request:expr) => {{
        let answer = Answer::of($request).await?;
        let seen = $case.refused(&answer).await.with_context(|| $name)?;
        insta::assert_snapshot!($name, seen);
        answer
    }};
}

#[tokio::test]
async fn c03_lengths_that_contradict_each_other_are_answered_400_and_the_connection_closes() -> anyhow::Result<()> {
    let case = Case::open(shared()?, "c03").await?;
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-type: text/csv\r\nidempotency-key: c03\r\n",
        case.path(),
        case.producer.token,
    );
    let chunked = "transfer-encoding: chunked\r\n";
    // With chunks and a length the chunks count, and what is read as a second request by somebody who goes by the length
    // is never read here: the connection ends.
    let second = "GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n";
    for fields in [format!("content-length: 5\r\n{chunked}"), format!("{chunked}content-length: 5\r\n")] {
        let mut stream = case.node.connect(&case.producer.tls, "http/1.1").await?;
        let (came, closed) = converse(&mut stream, format!("{head}{fields}\r\n0\r\n\r\n{second}").as_bytes()).await?;
        ensure!(came.starts_with("HTTP/1.1 4") && came.matches("HTTP/1.1 ").count() == 1, "{fields}: {came}");
        ensure!(closed && came.contains("connection: close"), "{fields}: the connection stays open: {came}");
    }
    for (what, fields, body) in [
        ("two lengths", "content-length: 5\r\ncontent-length: 6\r\n".to_owned(), "abcdef"),
        ("two lengths in one field", "content-length: 5, 6\r\n".to_owned(), "abcdef"),
        ("a sign", "content-length: +5\r\n".to_owned(), "abcde"),
        ("a length that overflows", "content-length: 99999999999999999999999\r\n".to_owned(), "abcde"),
        ("a chunk that overflows", chunked.to_owned(), "ffffffffffffffffff\r\nabc\r\n0\r\n\r\n"),
        ("a chunk that is no number", chunked.to_owned(), "xyz\r\nabc\r\n0\r\n\r\n"),
    ] {
        let mut stream = case.node.connect(&case.producer.tls, "http/1.1").await?;
        let (came, closed) = converse(&mut stream, format!("{head}{fields}\r\n{body}").as_bytes()).await?;
        ensure!(came.starts_with("HTTP/1.1 400"), "{what}: {came}");
        ensure!(closed, "{what}: the connection stays open");
    }
    refused_below_requests(&case, "malformed").await?;
    case.is_unharmed().await
}

/// What HTTP refused before there was a request is in the audit log too, under the name of who holds the certificate.
async fn refused_below_requests(case: &Case<'_>, reason: &str) -> anyhow::Result<()> {
    let recorded = async {
        loop {
            let answer = case.admin.get("/v1/audit/entries?action=http.refuse&limit=1000").await?;
            let entries = answer.body["entries"].as_array().context("entries")?;
            let own = |entry: &&serde_json::Value| {
                entry["reason"] == reason && entry["actor"].as_str().is_some_and(|actor| actor.ends_with(PRODUCER))
            };
            if let Some(entry) = entries.iter().find(own) {
                ensure!(entry["outcome"] == "refused" && entry["object"] == "exchange", "{entry}");
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, recorded).await.with_context(|| format!("no entry about {reason}"))?
}

#[tokio::test]
async fn c04_more_than_a_hundred_headers_or_16_kib_of_them_are_answered_431() -> anyhow::Result<()> {
    let case = Case::open(shared()?, "c04").await?;
    let mut many = case.push("c04", GOOD);
    for index in 0..110 {
        many = many.header(format!("x-{index}"), "1");
    }
    refused!(case, "C04_headers", many);
    let large = case.push("c04", GOOD).header("x-large", "a".repeat(17 << 10));
    let answer = Answer::of(large).await;
    // Over HTTP/2 the limit is the protocol's own, and the connection or the stream may end instead.
    if let Ok(answer) = answer {
        ensure!(answer.status == 431, "{}", answer.status);
    }
    case.is_unharmed().await
}

#[tokio::test]
async fn c04_the_same_over_http_1_1() -> anyhow::Result<()> {
    let case = Case::open(shared()?, "c04b").await?;
    let head = format!(
        "GET /v1/datasets HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {}\r\n",
        case.producer.token
    );
    let many: String = (0..110).map(|index| format!("x-{index}: 1\r\n")).collect();
    let larger = |bytes: usize| format!("x-large: {}\r\n", "a".repeat(bytes));
    for (what, fields) in [("110", many), ("17 KiB", larger(17 << 10)), ("1 MiB", larger(1 << 20))] {
        let mut stream = case.node.connect(&case.producer.tls, "http/1.1").await?;
        let (came, closed) = converse(&mut stream, format!("{head}{fields}\r\n").as_bytes()).await?;
        ensure!(came.starts_with("HTTP/1.1 431"), "{what}: {}", came.chars().take(300).collect::<String>());
        ensure!(closed, "{what}: the connection stays open");
    }
    refused_below_requests(&case, "headers_too_large").await?;
    case.is_unharmed().await
}

#[tokio::test]
async fn c05_an_address_of_more_than_8_kib_is_answered_414() -> anyhow::Result<()> {
    let case = Case::open(shared()?, "c05").await?;
    let path = format!("/v1/datasets/{}/records?kode=eq.{}", case.dataset, "a".repeat(9 << 10));
    refused!(case, "C05", case.producer.request(Method::GET, &path));
    Ok(())
}

#[tokio::test]
async fn c09_a_zstd_window_of_more_than_8_mib_is_refused() -> anyhow::Result<()> {
    let case = Case::open(shared()?, "c09").await?;
    let ours = case.push("c09-fits", zstd(23, GOOD.as_bytes(), b'\n', 0)).header("content-encoding", "zstd");
    let accepted = Answer::of(ours).await?;
    ensure!(accepted.status == 201, "the frame of this test is not one: {}", accepted.body);
    let mut case = case;
    case.expect_rows(4);
    let wide = case.push("c09", zstd(27, GOOD.as_bytes(), b'\n', 0)).header("content-encoding", "zstd");
    refused!(case, "C09", wide);
    Ok(())
}

#[tokio::test]
async fn c10_encodings_one_inside_another_are_answered_415() -> anyhow::Result<()> {
    let case = Case::open(shared()?, "c10").await?;
    let twice = gzip(&gzip(GOOD.as_bytes())?)?;
    refused!(case, "C10", case.push("c10", twice.clone()).header("content-encoding", "gzip, gzip"));
    let fields = case.push("c10", twice).header("content-encoding", "gzip").header("content-encoding", "gzip");
    let answer = Answer::of(fields).await?;
    ensure!((answer.status, answer.problem()) == (415, "content_encoding"), "{}", answer.body);
    Ok(())
}

#[tokio::test]
async fn c11_an_unknown_encoding_is_answered_415_with_those_that_are_known() -> anyhow::Result<()> {
    let case = Case::open(shared()?, "c11").await?;
    refused!(case, "C11", case.push("c11", GOOD).header("content-encoding", "br"));
    Ok(())
}

#[tokio::test]
async fn c12_a_compressed_body_that_is_cut_or_broken_leaves_no_row() -> anyhow::Result<()> {
    let case = Case::open(shared()?, "c12").await?;
    let rows: String = (0..40_000).map(|row| format!("B{row},,1,,,x{}\n", row * 7919 % 1009)).collect();
    let whole = gzip(format!("{HEADER}{rows}").as_bytes())?;
    let frame = zstd(20, GOOD.as_bytes(), b'\n', 4);
    let mut flipped = whole.clone();
    let checksum = flipped.len() - 6;
    flipped[checksum] ^= 1;
    for (what, body, coding) in [
        ("cut gzip", whole[..whole.len() / 2].to_vec(), "gzip"),
        ("gzip without its end", whole[..whole.len() - 4].to_vec(), "gzip"),
        ("gzip with another checksum", flipped, "gzip"),
        ("no gzip at all", GOOD.into(), "gzip"),
        ("nothing", Vec::new(), "gzip"),
        ("zstd with another checksum", with_wrong_checksum(&frame), "zstd"),
        ("cut zstd", frame[..frame.len() - 6].to_vec(), "zstd"),
        ("no zstd at all", GOOD.into(), "zstd"),
    ] {
        let answer = Answer::of(case.push(&what.replace(' ', "-"), body).header("content-encoding", coding)).await?;
        ensure!((answer.status, answer.problem()) == (400, "body_corrupt"), "{what}: {}", answer.body);
        let seen = case.refused(&answer).await.context(what)?;
        if what == "cut gzip" {
            insta::assert_snapshot!("C12", seen);
        }
    }
    // The key of a body that broke is free again.
    let again = Answer::of(case.push("cut-gzip", whole).header("content-encoding", "gzip")).await?;
    ensure!(again.status == 201 && again.body["rows"]["accepted"] == 40_000, "{}", again.body);
    Ok(())
}

/// A zstd frame that announces a checksum of its content (RFC 8878, section 3.1.1) and carries another.
fn with_wrong_checksum(frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame[4] |= 4;
    frame.extend([0x13, 0x57, 0x9b, 0xdf]);
    frame
}

#[tokio::test]
async fn c13_a_body_that_is_not_the_one_of_its_digest_leaves_no_row() -> anyhow::Result<()> {
    let case = Case::open(shared()?, "c13").await?;
    let other = Digest::of(b"something else").to_digest_field();
    let right = Digest::of(GOOD.as_bytes()).to_digest_field();
    refused!(case, "C13", case.push("c13", GOOD).header("content-digest", &other));
    for (name, value) in
        [("repr-digest", other.as_str()), ("content-digest", "sha-256=:AAAA:"), ("repr-digest", "sha-256=xyz")]
    {
        let answer = Answer::of(case.push("c13", GOOD).header(name, value)).await?;
        ensure!(answer.status == 400, "{name}: {value}: {}", answer.status);
        case.refused(&answer).await?;
    }
    let both = case.push("c13", GOOD).header("content-digest", &right).header("repr-digest", &other);
    ensure!(Answer::of(both).await?.status == 400);
    case.is_unharmed().await?;
    let answer = Answer::of(case.push("c13", GOOD).header("content-digest", &right)).await?;
    ensure!(answer.status == 201, "{}", answer.body);
    Ok(())
}

#[tokio::test]
async fn c14_a_digest_of_a_broken_algorithm_only_is_refused_and_another_is_asked_for() -> anyhow::Result<()> {
    let case = Case::open(shared()?, "c14").await?;
    refused!(case, "C14", case.push("c14", GOOD).header("content-digest", "md5=:1B2M2Y8AsgTpgAmY7PhCfg==:"));
    Ok(())
}

#[tokio::test]
async fn c15_a_delivery_without_a_key_is_refused() -> anyhow::Result<()> {
    let case = Case::open(shared()?, "c15").await?;
    let bare = || case.producer.request(Method::POST, &case.path()).header("content-type", "text/csv").body(GOOD);
    refused!(case, "C15", bare());
    for key in ["", "\"\"", "dengan spasi", &"k".repeat(256)] {
        let answer = Answer::of(bare().header("idempotency-key", key)).await?;
        ensure!((answer.status, answer.problem()) == (400, "idempotency_key_missing"), "{key}: {}", answer.body);
    }
    let foreign = HeaderValue::from_bytes(&[0xff, 0xfe])?;
    ensure!(Answer::of(bare().header("idempotency-key", foreign)).await?.status == 400);
    case.is_unharmed().await
}

#[tokio::test]
async fn c16_a_key_with_another_payload_is_answered_422() -> anyhow::Result<()> {
    let case = Case::open(shared()?, "c16").await?;
    let other = GOOD.replace("baik", "lain");
    let answer = Answer::of(case.push("dasar", other)).await?;
    let first = Answer::of(case.push("dasar", GOOD)).await?;
    ensure!(answer.body["delivery"] == first.body["delivery"]);
    let request = answer.body["request"].as_str().context("request")?;
    ensure!(case.entries(request).await?.len() == 1, "{:?}", case.entries(request).await?);
    insta::assert_snapshot!("C16", shown(&answer));
    case.is_unharmed().await
}

#[tokio::test]
async fn c17_a_key_in_use_is_answered_409_with_a_time_to_wait() -> anyhow::Result<()> {
    let mut case = Case::open(shared()?, "c17").await?;
    let (sender, body) = tokio::sync::mpsc::channel::<Result<Vec<u8>, std::io::Error>>(1);
    let stream = futures::stream::unfold(body, |mut body| async { body.recv().await.map(|piece| (piece, body)) });
    let first = tokio::spawn(Answer::of(case.push("c17", reqwest::Body::wrap_stream(stream))));
    sender.send(Ok(HEADER.into())).await?;
    // The key is taken when the delivery stands in the journal.
    let begun = async {
        loop {
            let journal = case.admin.get("/v1/admin/deliveries?limit=1000").await?;
            let open = journal.bytes.windows(9).any(|word| word == b"receiving")
                && String::from_utf8_lossy(&journal.bytes).contains(&case.dataset);
            if open {
                return anyhow::Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, begun).await??;
    let answer = Answer::of(case.push("c17", GOOD)).await?;
    ensure!(!answer.header("retry-after").is_empty(), "{:?}", answer.headers);
    let seen = case.refused(&answer).await?;
    insta::assert_snapshot!("C17", seen);
    sender.send(Ok(GOOD.lines().skip(1).map(|line| format!("{line}\n")).collect::<String>().into_bytes())).await?;
    drop(sender);
    let first = first.await??;
    ensure!(first.status == 201, "{}", first.body);
    case.expect_rows(4);
    case.is_unharmed().await
}

#[tokio::test]
async fn c18_a_key_after_success_gives_the_stored_answer_byte_for_byte() -> anyhow::Result<()> {
    let case = Case::open(shared()?, "c18").await?;
    let (first, second) = (Answer::of(case.push("dasar", GOOD)).await?, Answer::of(case.push("dasar", GOOD)).await?);
    ensure!(first.status == 201 && second.status == 201);
    ensure!(first.header("idempotency-replayed") == "true");
    ensure!(first.bytes == second.bytes);
    // Compressed it is the same file.
    let packed = Answer::of(case.push("dasar", gzip(GOOD.as_bytes())?).header("content-encoding", "gzip")).await?;
    ensure!(packed.bytes == first.bytes, "{}", packed.body);
    insta::assert_snapshot!("C18", shown(&second));
    case.is_unharmed().await
}

#[tokio::test]
async fn c18_the_same_key_after_a_refusal_gives_the_stored_refusal() -> anyhow::Result<()> {
    let case = Case::open(shared()?, "c18b").await?;
    let bad = GOOD.replace(",3,", ",-3,");
    let (first, second) =
        (Answer::of(case.push("buruk", bad.clone())).await?, Answer::of(case.push("buruk", bad)).await?);
    ensure!(first.status == 422 && second.status == 422, "{} {}", first.body, second.body);
    for member in ["delivery", "receipt", "report", "rows", "errors"] {
        ensure!(first.body[member] == second.body[member], "{member}");
    }
    ensure!(second.header("idempotency-replayed") == "true");
    case.is_unharmed().await
}

/// What a child node forwards for an agency of its area.
fn forward(child: &Caller, case: &Case<'_>, key: &str, number: &str, body: String) -> reqwest::RequestBuilder {
    let request =
        child.request(Method::POST, &case.path()).header("content-type", "text/csv").header("idempotency-key", key);
    request.header("simpul-origin", "64.02.05.pemerintahan/operator").header("simpul-sequence", number).body(body)
}

#[tokio::test]
async fn c19_a_sequence_number_with_other_content_is_answered_409() -> anyhow::Result<()> {
    let mut case = Case::open(shared()?, "c19").await?;
    let child = case.client("64.02.05.kecamatan/simpul", &["forward"], &json!({})).await?;
    let first = Answer::of(forward(&child, &case, "urut-5", "5", GOOD.to_owned())).await?;
    ensure!(first.status == 201, "{}", first.body);
    case.expect_rows(4);
    let answer = Answer::of(forward(&child, &case, "urut-5-lain", "5", GOOD.replace("baik", "x"))).await?;
    ensure!(answer.status == 409, "{}", answer.body);
    insta::assert_snapshot!("C19", shown(&answer));
    let request = answer.body["request"].as_str().context("request")?;
    ensure!(case.entries(request).await?.len() == 1, "{:?}", case.entries(request).await?);
    case.is_unharmed().await
}

#[tokio::test]
async fn c20_a_sequence_number_older_than_the_last_is_answered_409() -> anyhow::Result<()> {
    let mut case = Case::open(shared()?, "c20").await?;
    let child = case.client("64.02.05.kecamatan/simpul", &["forward"], &json!({})).await?;
    let first = Answer::of(forward(&child, &case, "urut-9", "9", GOOD.to_owned())).await?;
    ensure!(first.status == 201, "{}", first.body);
    case.expect_rows(4);
    refused!(case, "C20", forward(&child, &case, "urut-7", "7", GOOD.replace("baik", "x")));
    for number in ["-1", "abc", "99999999999999999999999"] {
        let answer = Answer::of(forward(&child, &case, "urut-x", number, GOOD.to_owned())).await?;
        ensure!((answer.status, answer.problem()) == (400, "malformed"), "{number}: {}", answer.body);
    }
    // A child speaks for the agencies of its own area.
    let foreign =
        child.request(Method::POST, &case.path()).header("content-type", "text/csv").header("idempotency-key", "asing");
    let foreign = foreign.header("simpul-origin", "64.03.dukcapil/siak").header("simpul-sequence", "11").body(GOOD);
    let answer = Answer::of(foreign).await?;
    ensure!((answer.status, answer.problem()) == (403, "origin_denied"), "{}", answer.body);
    case.is_unharmed().await
}

#[tokio::test]
async fn a_header_that_decides_something_and_comes_twice_is_answered_400() -> anyhow::Result<()> {
    let case = Case::open(shared()?, "ganda").await?;
    let child = case.client("64.02.05.kecamatan/simpul", &["forward"], &json!({})).await?;
    for (name, first, second) in [
        ("simpul-origin", "64.02.05.kecamatan/a", "64.03.dukcapil/siak"),
        ("simpul-sequence", "1", "2"),
        ("simpul-contract-version", "1.0.0", "1.0.0"),
        ("idempotency-key", "a", "b"),
        ("content-type", "text/csv", "application/json"),
    ] {
        let mut headers = HeaderMap::new();
        headers.append(name, HeaderValue::from_static(first));
        headers.append(name, HeaderValue::from_static(second));
        let doubled = forward(&child, &case, "ganda", "21", GOOD.to_owned()).headers(headers);
        let answer = Answer::of(doubled).await?;
        ensure!((answer.status, answer.problem()) == (400, "malformed"), "{name}: {}", answer.body);
        ensure!(answer.body["detail"].as_str().is_some_and(|text| text.contains(name)), "{}", answer.body);
        case.refused(&answer).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_media_type_that_is_not_known_is_answered_415() -> anyhow::Result<()> {
    let case = Case::open(shared()?, "media").await?;
    let send = |kind: &str| {
        let request = case.producer.request(Method::POST, &case.path()).header("idempotency-key", "media");
        request.header("content-type", kind).body(GOOD)
    };
    refused!(case, "media_type", send("application/pdf"));
    for kind in [
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "application/vnd.ms-excel.sheet.binary.macroenabled.12",
        "application/octet-stream",
        "text/csvx",
        "",
    ] {
        let answer = Answer::of(send(kind)).await?;
        ensure!((answer.status, answer.problem()) == (415, "media_type"), "{kind}: {}", answer.body);
        case.refused(&answer).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_body_that_ends_before_its_length_leaves_no_row_and_frees_its_key() -> anyhow::Result<()> {
    let mut case = Case::open(shared()?, "pendek").await?;
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-type: text/csv\r\n\
         idempotency-key: pendek\r\ncontent-length: 100000\r\n\r\n{GOOD}",
        case.path(),
        case.producer.token,
    );
    let mut stream = case.node.connect(&case.producer.tls, "http/1.1").await?;
    stream.write_all(head.as_bytes()).await?;
    stream.shutdown().await?;
    let mut came = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut came)).await?;
    ensure!(!came.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&came));
    case.is_unharmed().await?;
    let again = async {
        loop {
            let answer = Answer::of(case.push("pendek", GOOD)).await?;
            if answer.status != 409 {
                return anyhow::Ok(answer);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let again = tokio::time::timeout(PATIENCE, again).await??;
    ensure!(again.status == 201, "{}", again.body);
    case.expect_rows(4);
    case.is_unharmed().await
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// Preface and settings of an HTTP/2 client.
fn preface() -> Vec<u8> {
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(4, 0, 0, &[])].concat()
}

/// GET https://localhost/v1/datasets as literal header fields without indexing.
fn request_block() -> Vec<u8> {
    let mut block = vec![0x82, 0x87];
    for (name, value) in [(":path", "/v1/datasets"), (":authority", "localhost")] {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap_or(0));
            block.extend(text.bytes());
        }
    }
    block
}

/// POST of CSV to `path` with a token, whose body is still to come.
fn delivery_block(path: &str, token: &str) -> Vec<u8> {
    let mut block = vec![0x83, 0x87];
    let authorization = format!("Bearer {token}");
    for (name, value) in [
        (":path", path),
        (":authority", "localhost"),
        ("content-type", "text/csv"),
        ("idempotency-key", "kosong"),
        ("authorization", &authorization),
    ] {
        block.push(0);
        for text in [name, value] {
            block.extend(length_prefix(text.len()));
            block.extend(text.bytes());
        }
    }
    block
}

/// A length as HPACK writes it (RFC 7541, section 5.1), with a prefix of seven bits.
fn length_prefix(length: usize) -> Vec<u8> {
    if length < 127 {
        return vec![length as u8];
    }
    let (mut bytes, mut rest) = (vec![127], length - 127);
    while rest >= 128 {
        bytes.push((rest % 128) as u8 | 0x80);
        rest /= 128;
    }
    bytes.push(rest as u8);
    bytes
}

/// Whether the bytes hold a GOAWAY frame, and its error code.
fn goaway(mut bytes: &[u8]) -> Option<u32> {
    while bytes.len() >= 9 {
        let length = usize::from(bytes[0]) << 16 | usize::from(bytes[1]) << 8 | usize::from(bytes[2]);
        let payload = bytes.get(9..9 + length)?;
        if bytes[3] == 7 {
            return Some(u32::from_be_bytes(payload.get(4..8)?.try_into().ok()?));
        }
        bytes = &bytes[9 + length..];
    }
    None
}

/// Bytes after which a flood that goes on is taken for one that is let be.
const MOST: usize = 4 << 30;

/// Sends `piece` again and again until the node closes the connection; gives the error code of its GOAWAY and how many
/// bytes it took.
async fn flood(case: &Case<'_>, mut piece: impl FnMut(u32) -> Vec<u8>) -> anyhow::Result<(Option<u32>, usize)> {
    let stream = case.node.connect(&case.producer.tls, "h2").await?;
    let (mut reader, mut writer) = tokio::io::split(stream);
    let came = tokio::spawn(async move {
        let mut came = Vec::new();
        let mut piece = [0_u8; 16 << 10];
        while let Ok(count) = reader.read(&mut piece).await {
            if count == 0 {
                break;
            }
            came.extend_from_slice(&piece[..count]);
        }
        came
    });
    writer.write_all(&preface()).await?;
    let (mut sent, mut number) = (0, 1);
    while sent < MOST {
        let mut burst = Vec::new();
        for _ in 0..64 {
            burst.extend(piece(number));
            number += 2;
        }
        if writer.write_all(&burst).await.is_err() || came.is_finished() {
            break;
        }
        sent += burst.len();
    }
    let came = tokio::time::timeout(PATIENCE, came).await.context("the node keeps the connection")??;
    Ok((goaway(&came), sent))
}

#[tokio::test]
async fn c28_a_rapid_reset_ends_the_connection_and_nobody_else_notices() -> anyhow::Result<()> {
    let case = Case::open(shared()?, "c28").await?;
    let block = request_block();
    let reset = |stream| [frame(1, 0x5, stream, &block), frame(3, 0, stream, &8_u32.to_be_bytes())].concat();
    let (code, sent) = flood(&case, reset).await?;
    ensure!(code == Some(11), "GOAWAY {code:?} after {sent} bytes, expected ENHANCE_YOUR_CALM");
    refused_below_requests(&case, "flood").await?;
    case.is_unharmed().await
}

#[tokio::test]
async fn c29_a_continuation_flood_and_other_floods_end_the_connection() -> anyhow::Result<()> {
    let case = Case::open(shared()?, "c29").await?;
    let mut started = false;
    let continuation = |_| {
        if std::mem::replace(&mut started, true) {
            return frame(9, 0, 1, &[0; 0]);
        }
        frame(1, 0x1, 1, &request_block())
    };
    let (code, sent) = flood(&case, continuation).await?;
    ensure!(code.is_some() && sent < 8 << 20, "empty CONTINUATION: {code:?} after {sent}");
    let filler = [&[0x00, 0x01, b'a', 0x7f, 0x81, 0x7e][..], &[b'b'; 16_000]].concat();
    let mut started = false;
    let large = |_| {
        if std::mem::replace(&mut started, true) {
            return frame(9, 0, 1, &filler);
        }
        frame(1, 0x1, 1, &request_block())
    };
    let (code, sent) = flood(&case, large).await?;
    ensure!(code.is_some() && sent < 8 << 20, "large CONTINUATION: {code:?} after {sent}");
    case.is_unharmed().await
}

#[tokio::test]
async fn c29_frames_that_ask_for_nothing_end_with_their_connection_and_take_no_memory() -> anyhow::Result<()> {
    let case = Case::open(narrow()?, "c29-sepi").await?;
    // A connection without a request has as long as a header may take. Its GOAWAY is lost where the kernel resets a connection
    // that was closed with bytes unread.
    for (what, kind, payload) in [("PING", 6, &[0; 8][..]), ("SETTINGS", 4, &[]), ("unknown frames", 0x55, &[7; 64])] {
        let piece = frame(kind, 0, 0, payload);
        let (code, sent) = within_memory(case.node, flood(&case, |_| piece.clone())).await.context(what)?;
        ensure!(code.is_some() || sent < MOST, "{what}: the connection bears {sent} bytes");
    }
    // Empty pieces of a body are no body.
    let mut started = false;
    let (token, path) = (&case.producer.token, case.path());
    let empty = |_| match std::mem::replace(&mut started, true) {
        false => frame(1, 0x4, 1, &delivery_block(&path, token)),
        true => frame(0, 0, 1, &[]),
    };
    let (code, sent) = within_memory(case.node, flood(&case, empty)).await.context("empty DATA")?;
    ensure!(code.is_some() || sent < MOST, "empty DATA: the connection bears {sent} bytes");
    case.is_unharmed().await
}

#[tokio::test]
async fn c29_a_header_block_that_unfolds_to_megabytes_is_refused_with_flat_memory() -> anyhow::Result<()> {
    let case = Case::open(narrow()?, "c29-hpack").await?;
    let mut number = 0;
    let bomb = |stream| {
        number += 1;
        let mut block = request_block();
        if number == 1 {
            // A value of 4,000 bytes goes to the dynamic table, where each byte 0xbe stands for it again.
            block.extend([0x40, 1, b'a', 0x7f, 0xa1, 0x1e]);
            block.extend([b'b'; 4000]);
        }
        block.extend([0xbe; 8000]);
        frame(1, 0x5, stream, &block)
    };
    let (code, sent) = within_memory(case.node, flood(&case, bomb)).await?;
    println!("GOAWAY {code:?} after {sent} bytes");
    case.is_unharmed().await
}

#[tokio::test]
async fn d01_a_name_that_is_none_is_answered_400_whatever_it_tries() -> anyhow::Result<()> {
    let case = Case::open(shared()?, "d01").await?;
    let long = "a".repeat(256);
    for name in [
        "..%2f..%2fetc%2fpasswd",
        "%2e%2e",
        "%2e%2e%2f%2e%2e",
        "a%00b",
        "a%5c..%5cb",
        "CON",
        &long,
        "%D0%B0bc",
        "Besar",
        "a_b",
        "-a",
        "%ff",
        "a%0d%0ax",
        "'%3Bdrop%20table",
    ] {
        let head = format!(
            "GET /v1/datasets/{name}/records HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {}\r\n\r\n",
            case.producer.token
        );
        let mut stream = case.node.connect(&case.producer.tls, "http/1.1").await?;
        let (came, _) = converse(&mut stream, head.as_bytes()).await?;
        ensure!(came.starts_with("HTTP/1.1 400"), "{name}: {came}");
        ensure!(came.contains("urn:simpul:problem:name_invalid"), "{name}: {came}");
        ensure!(!came.contains("passwd") && !came.contains("drop"), "{name} comes back: {came}");
    }
    // Dots that are not encoded are part of the path, and lead nowhere.
    let head = format!(
        "GET /v1/datasets/../../etc/passwd HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {}\r\n\r\n",
        case.producer.token
    );
    let mut stream = case.node.connect(&case.producer.tls, "http/1.1").await?;
    let (came, _) = converse(&mut stream, head.as_bytes()).await?;
    ensure!(came.starts_with("HTTP/1.1 404"), "{came}");
    refused!(case, "D01", case.producer.request(Method::GET, "/v1/datasets/Besar/records"));
    let named = crate::lone::descriptor("../x", "tolak");
    let answer = Answer::of(case.admin.request(Method::POST, "/v1/admin/contracts").json(&named)).await?;
    ensure!(answer.status == 422, "{}", answer.body);
    Ok(())
}

#[tokio::test]
async fn a_dataset_that_is_unknown_and_one_without_agreement_are_refused_in_the_same_words() -> anyhow::Result<()> {
    let case = Case::open(shared()?, "tanpa-pks").await?;
    let other = Case::open(shared()?, "ada-pks").await?;
    let reader = other.client("64.02.dinsos/tamu", &["read"], &json!({})).await?;
    for path in ["", "/records", "/extract", "/extract?format=csv", "/records?cursor=x&kode=eq.A1"] {
        let known = reader.get(&format!("/v1/datasets/{}{path}", case.dataset)).await?;
        let unknown = reader.get(&format!("/v1/datasets/tidak-ada{path}")).await?;
        ensure!(
            known.status == 403 && shown(&known) == shown(&unknown),
            "{path}: {} {}",
            shown(&known),
            shown(&unknown)
        );
        case.refused(&known).await?;
    }
    let deliver = |dataset: &str| {
        let request = reader.request(Method::POST, &format!("/v1/datasets/{dataset}/deliveries"));
        request.header("content-type", "text/csv").header("idempotency-key", "x").body(GOOD)
    };
    let (known, unknown) = (Answer::of(deliver(&case.dataset)).await?, Answer::of(deliver("tidak-ada")).await?);
    ensure!(known.status == 403 && shown(&known) == shown(&unknown), "{} {}", shown(&known), shown(&unknown));
    insta::assert_snapshot!("no_agreement", shown(&known));
    let list = reader.get("/v1/datasets").await?;
    ensure!(!String::from_utf8_lossy(&list.bytes).contains(&case.dataset), "{}", list.body);
    Ok(())
}

#[tokio::test]
async fn a_delivery_of_another_client_is_not_found() -> anyhow::Result<()> {
    let case = Case::open(shared()?, "kiriman-lain").await?;
    let own = Answer::of(case.push("dasar", GOOD)).await?;
    let id = own.body["delivery"].as_str().context("delivery")?;
    let other = case.client("64.02.dinsos/tamu", &["read"], &json!({})).await?;
    let foreign = other.get(&format!("/v1/deliveries/{id}")).await?;
    let nothing = other.get("/v1/deliveries/018f0000-0000-7000-8000-000000000000").await?;
    let malformed = other.get("/v1/deliveries/..%2f..").await?;
    ensure!(foreign.status == 404 && shown(&foreign) == shown(&nothing) && shown(&nothing) == shown(&malformed));
    insta::assert_snapshot!("foreign_delivery", shown(&foreign));
    Ok(())
}

#[tokio::test]
async fn a_filter_or_a_choice_on_a_hidden_or_masked_column_tells_nothing() -> anyhow::Result<()> {
    let case = Case::open(shared()?, "tutup").await?;
    let columns = json!({"columns": {"nik": "masked", "catatan": "hidden"}});
    let reader = case.client(READER, &["read"], &columns).await?;
    let path = |query: &str| format!("/v1/datasets/{}/records?{query}", case.dataset);
    let hidden = reader.get(&path("catatan=eq.baik")).await?;
    let missing = reader.get(&path("tidakada=eq.baik")).await?;
    ensure!(hidden.status == 403, "{}", hidden.body);
    let same = |a: &Answer, b: &Answer| shown(a).replace("catatan", "?") == shown(b).replace("tidakada", "?");
    ensure!(same(&hidden, &missing), "{} {}", shown(&hidden), shown(&missing));
    ensure!(same(&reader.get(&path("select=catatan")).await?, &reader.get(&path("select=tidakada")).await?));
    let masked = reader.get(&path("nik=eq.6402010101010001")).await?;
    ensure!(masked.status == 403, "a filter on a masked column tells its value: {}", masked.body);
    let seen = case.refused(&masked).await?;
    insta::assert_snapshot!("filter_on_masked", seen);
    for form in ["records", "extract?format=csv", "extract?format=arrow", "extract"] {
        let all = reader.get(&format!("/v1/datasets/{}/{form}", case.dataset)).await?;
        ensure!(all.status == 200, "{form}: {}", all.body);
        for secret in ["6402010101010001", "baik", "juga"] {
            ensure!(!all.bytes.windows(secret.len()).any(|w| w == secret.as_bytes()), "{form} shows {secret}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_cursor_a_filter_or_a_limit_that_makes_no_sense_is_answered_400() -> anyhow::Result<()> {
    let case = Case::open(shared()?, "kursor").await?;
    let path = |query: &str| format!("/v1/datasets/{}/records?{query}", case.dataset);
    refused!(case, "cursor", case.producer.request(Method::GET, &path("cursor=bukan-kursor")));
    refused!(case, "filter_operator", case.producer.request(Method::GET, &path("kode=sama.A1")));
    refused!(case, "filter_value", case.producer.request(Method::GET, &path("jumlah=eq.tiga")));
    for query in [
        "cursor=",
        "cursor=AAAA",
        "cursor=%00",
        "cursor=99999999999999999999",
        "kode=eq",
        "kode=",
        "kode=in.A1",
        "kode=in.(",
        "kode=is.apa",
        "jumlah=gt.1e400",
        "tanggal=eq.31/02/2026",
        "limit=0",
        "limit=-1",
        "limit=1001",
        "limit=x",
        "version=x",
        "version=-1",
        "%ff=eq.1",
        "kode=eq.%ff",
    ] {
        let answer = case.producer.get(&path(query)).await?;
        ensure!(answer.status == 400, "{query}: {} {}", answer.status, answer.body);
    }
    let many = format!("kode=in.({})", vec!["a"; 1001].join(","));
    ensure!(case.producer.get(&path(&many)).await?.status == 400);
    // The cursor of another query is not one of this.
    let first = case.producer.get(&path("limit=1")).await?;
    let cursor = first.body["next"].as_str().context("next")?;
    let other = case.producer.get(&path(&format!("limit=1&kode=eq.A2&cursor={cursor}"))).await?;
    ensure!(other.status == 400, "{}", other.body);
    let unheard = case.producer.get(&path("version=4711")).await?;
    ensure!(unheard.status == 404, "{}", unheard.body);
    case.is_unharmed().await
}
