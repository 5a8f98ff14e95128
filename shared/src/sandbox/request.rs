//! A signed request as HTTP text, as a callback, and with one byte of its signature changed.

use super::SignedRequest;
use crate::callback::RawCallback;

/// The path of a callback address, with the request's query.
pub fn callback_path(account: &str, provider: &str, request: &SignedRequest) -> String {
    let question_mark = if request.query.is_empty() { "" } else { "?" };
    format!("/callbacks/{account}/{provider}{}{question_mark}{}", request.further_path(), request.query)
}

/// The request as the callback function would receive it.
pub fn raw_callback(account: &str, provider: &str, request: &SignedRequest) -> RawCallback {
    RawCallback::new(
        account,
        provider,
        request.method,
        callback_path(account, provider, request),
        request.sent_headers().cloned(),
        request.body.clone(),
    )
}

/// The request as HTTP/1.1 text, in the form that `paybell verify --request` reads.
pub fn http_text(account: &str, provider: &str, host: &str, request: &SignedRequest) -> Vec<u8> {
    let mut text = format!(
        "{} {} HTTP/1.1\r\nHost: {host}\r\n",
        request.method,
        callback_path(account, provider, request)
    );
    for (name, value) in request.sent_headers() {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str(&format!("Content-Length: {}\r\n\r\n", request.body.len()));
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(&request.body);
    bytes
}

/// The request with one byte of its signature changed so that `is_forged` holds; `None` when there is no such byte.
///
/// It looks where protocols carry signatures: headers named after one, then parameters of the query
/// and of a form body, then members of a JSON body, then elements of an XML body.
pub fn forge(request: &SignedRequest, is_forged: impl Fn(&SignedRequest) -> bool) -> Option<SignedRequest> {
    signature_spans(request)
        .into_iter()
        .flat_map(|span| span.bytes())
        .map(|place| with_flipped_byte(request, place, 1))
        .find(|changed| is_forged(changed))
}

/// One byte of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A byte of the value of the header with this index.
    Header(usize, usize),
    /// A byte of the query.
    Query(usize),
    /// A byte of the body.
    Body(usize),
}

/// The request with the bits of `mask` flipped in one byte; the same when the result is not a text where one is needed.
pub fn with_flipped_byte(request: &SignedRequest, place: Place, mask: u8) -> SignedRequest {
    let mut changed = request.clone();
    let flip = |text: &str, at: usize| {
        let mut bytes = text.as_bytes().to_vec();
        bytes[at] ^= mask;
        String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
    };
    match place {
        Place::Header(index, at) => changed.headers[index].1 = flip(&request.headers[index].1, at),
        Place::Query(at) => changed.query = flip(&request.query, at),
        Place::Body(at) => changed.body[at] ^= mask,
    }
    changed
}

/// Where a signature's text is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    carrier: Carrier,
    range: std::ops::Range<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carrier {
    Header(usize),
    Query,
    Body,
}

impl Span {
    /// The index of the header that carries it; `None` when the query or the body does.
    pub fn header(&self) -> Option<usize> {
        match self.carrier {
            Carrier::Header(index) => Some(index),
            Carrier::Query | Carrier::Body => None,
        }
    }

    /// The request with another text in its place.
    pub fn replaced(&self, request: &SignedRequest, with: impl FnOnce(&[u8]) -> Vec<u8>) -> SignedRequest {
        let mut changed = request.clone();
        let splice = |bytes: &[u8]| {
            let new = with(&bytes[self.range.clone()]);
            [&bytes[..self.range.start], &new, &bytes[self.range.end..]].concat()
        };
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        match self.carrier {
            Carrier::Header(index) => {
                changed.headers[index].1 = text(splice(request.headers[index].1.as_bytes()))
            }
            Carrier::Query => changed.query = text(splice(request.query.as_bytes())),
            Carrier::Body => changed.body = splice(&request.body),
        }
        changed
    }

    /// Its bytes from the last one back: the end of a composite header is the signature, its beginning may be a time.
    pub fn bytes(&self) -> impl Iterator<Item = Place> + use<> {
        let carrier = self.carrier;
        self.range.clone().rev().map(move |at| match carrier {
            Carrier::Header(index) => Place::Header(index, at),
            Carrier::Query => Place::Query(at),
            Carrier::Body => Place::Body(at),
        })
    }
}

/// Words with which the names of signatures and shared tokens end, in lower case.
const SIGNATURE_WORDS: &[&str] =
    &["sign", "signature", "sig", "hmac", "hash", "mac", "verify", "authorization", "token"];
/// Whole names that say it otherwise, in lower case.
const SIGNATURE_NAMES: &[&str] =
    &["signature-data", "signature_key", "checksumhash", "signedpayload", "response"];

/// The texts that look like signatures by their names.
pub fn signature_spans(request: &SignedRequest) -> Vec<Span> {
    let headers = request
        .headers
        .iter()
        .enumerate()
        .filter(|(_, (name, _))| is_signature_header(name))
        .map(|(index, (_, value))| Span { carrier: Carrier::Header(index), range: 0..value.len() });
    let query = parameter_ranges(request.query.as_bytes())
        .into_iter()
        .map(|range| Span { carrier: Carrier::Query, range });
    let form = parameter_ranges(&request.body).into_iter();
    let json = member_ranges(&request.body).into_iter();
    let xml = element_ranges(&request.body).into_iter();
    headers
        .chain(query)
        .chain(form.chain(json).chain(xml).map(|range| Span { carrier: Carrier::Body, range }))
        .filter(|span| !span.range.is_empty())
        .collect()
}

fn is_signature_header(name: &str) -> bool {
    is_signature_name(name.as_bytes())
}

fn parameter_ranges(encoded: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut start = 0;
    let mut ranges = Vec::new();
    for pair in encoded.split(|byte| *byte == b'&') {
        if let Some(equals) = pair.iter().position(|byte| *byte == b'=')
            && is_signature_name(&pair[..equals])
        {
            ranges.push(start + equals + 1..start + pair.len());
        }
        start += pair.len() + 1;
    }
    ranges
}

/// The texts of the JSON members that carry a signature by their names.
fn member_ranges(body: &[u8]) -> Vec<std::ops::Range<usize>> {
    let quotes: Vec<usize> = quotes(body);
    let mut ranges = Vec::new();
    for four in quotes.windows(4) {
        let [name_open, name_close, open, close] = four else { continue };
        let between = body[name_close + 1..*open].trim_ascii();
        if between == b":" && is_signature_name(&body[name_open + 1..*name_close]) {
            ranges.push(open + 1..*close);
        }
    }
    ranges
}

/// Where unescaped quotation marks are.
fn quotes(body: &[u8]) -> Vec<usize> {
    let mut quotes = Vec::new();
    let mut escaped = false;
    for (at, byte) in body.iter().enumerate() {
        match byte {
            b'\\' => escaped = !escaped,
            b'"' if !escaped => quotes.push(at),
            _ => escaped = false,
        }
    }
    quotes
}

/// The texts of the XML elements that carry a signature by their names.
fn element_ranges(body: &[u8]) -> Vec<std::ops::Range<usize>> {
    let find = |text: String| body.windows(text.len()).position(|window| window == text.as_bytes());
    let texts = SIGNATURE_WORDS.iter().filter_map(|name| {
        let open = format!("<{name}>");
        let start = find(open.clone())? + open.len();
        Some(start..find(format!("</{name}>"))?)
    });
    texts.collect()
}

/// Whether a header, a parameter, a member or an element of this name carries a signature: `X-Signature`, `X-Hub-Signature-256`,
/// `hmacSignature`, `sign`; but not `Wechatpay-Signature-Type`.
pub fn is_signature_name(name: &[u8]) -> bool {
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    let is_hash = |word: &str| word.trim_start_matches("sha").bytes().all(|byte| byte.is_ascii_digit());
    let last = name.rsplit(['-', '_']).find(|word| !is_hash(word)).unwrap_or_default();
    SIGNATURE_NAMES.contains(&name.as_str()) || SIGNATURE_WORDS.contains(&last) || last.ends_with("signature")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&str, &str)], body: &str) -> SignedRequest {
        SignedRequest {
            method: "POST",
            query: String::new(),
            headers: headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            body: body.as_bytes().to_vec(),
        }
    }

    #[test]
    fn finds_signatures_in_headers_forms_json_and_xml() {
        let check = |request: SignedRequest, expected: &[Place]| {
            let found: Vec<Place> =
                signature_spans(&request).into_iter().flat_map(|span| span.bytes()).collect();
            assert_eq!(found, expected);
        };
        check(
            request(
                &[("Content-Type", "x"), ("Wechatpay-Signature-Type", "y"), ("Wechatpay-Signature", "ab")],
                "",
            ),
            &[Place::Header(2, 1), Place::Header(2, 0)],
        );
        check(request(&[("PAYPAL-TRANSMISSION-SIG", "a")], ""), &[Place::Header(0, 0)]);
        check(request(&[], "a=1&sign_type=R&sign=x&b=2"), &[Place::Body(21)]);
        check(request(&[], r#"{"a":"b","sign" : "z"}"#), &[Place::Body(19)]);
        check(request(&[], r#"{"hmacSignature":"a\"b"}"#), &[21, 20, 19, 18].map(Place::Body));
        check(request(&[("X-Hub-Signature-256", "a")], ""), &[Place::Header(0, 0)]);
        check(request(&[("X-Callback-Token", "a")], ""), &[Place::Header(0, 0)]);
        check(request(&[("Authorization", "a")], ""), &[Place::Header(0, 0)]);
        check(request(&[], "<xml><a>b</a><sign>z</sign></xml>"), &[Place::Body(19)]);
        check(request(&[], "<xml><sign>z"), &[]);
        check(request(&[], "plain"), &[]);
    }

    #[test]
    fn a_forged_request_differs_in_one_byte() {
        let genuine = request(&[("X-Signature", "abcd")], "{}");
        let forged = forge(&genuine, |changed| changed.headers[0].1.ends_with("bd")).unwrap();
        assert_eq!(forged.headers[0].1, "abbd");
        assert_eq!(forge(&genuine, |_| false), None);
    }
}
