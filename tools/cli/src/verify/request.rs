//! A captured HTTP request as text.

use thiserror::Error;

/// Most headers that are read.
const HEADERS_MAX: usize = 1024;

/// A captured request.
#[derive(Clone, PartialEq, Eq)]
pub struct CapturedRequest {
    /// HTTP method.
    pub method: String,
    /// Path with the query.
    pub target: String,
    /// Headers in the order of arrival.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// Why a text is not a captured request.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CaptureError {
    /// The first line is not `METHOD /path HTTP/1.1`.
    #[error("the first line must be a request line such as `POST /callbacks/demo/stripe HTTP/1.1`")]
    RequestLine,
    /// A line before the blank one has no colon.
    #[error("line {line} is neither a header (`Name: value`) nor the blank line before the body")]
    Header {
        /// The line's number, from 1.
        line: usize,
    },
    /// A line before the body is not UTF-8.
    #[error("line {line} is not UTF-8")]
    NotText {
        /// The line's number, from 1.
        line: usize,
    },
    /// There are more headers than any request has.
    #[error("there are more than {HEADERS_MAX} headers")]
    TooManyHeaders,
}

impl CapturedRequest {
    /// Reads all requests of a capture: request line, headers, blank line, body; lines end with CRLF or LF.
    ///
    /// A body is as long as `Content-Length` says when another request follows it, or nothing but line ends;
    /// else it is all that is left, so that a body that was changed after the capture is judged as it is.
    ///
    /// # Errors
    /// [`CaptureError`] of the first request that cannot be read.
    pub fn read_all(capture: &[u8]) -> Result<Vec<Self>, CaptureError> {
        let mut requests = Vec::new();
        let mut rest = capture;
        loop {
            let (request, after) = Self::read(rest)?;
            requests.push(request);
            if after.is_empty() {
                return Ok(requests);
            }
            rest = after;
        }
    }

    fn read(capture: &[u8]) -> Result<(Self, &[u8]), CaptureError> {
        let mut lines = Lines { rest: capture, number: 0 };
        let first = lines.next()?.ok_or(CaptureError::RequestLine)?;
        let (method, target) = request_line(first).ok_or(CaptureError::RequestLine)?;
        let mut headers = Vec::new();
        while let Some(line) = lines.next()?.filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').ok_or(CaptureError::Header { line: lines.number })?;
            if headers.len() == HEADERS_MAX {
                return Err(CaptureError::TooManyHeaders);
            }
            headers.push((name.trim().to_owned(), value.trim().to_owned()));
        }
        let (body, after) = split_body(lines.rest, &headers);
        let request =
            Self { method: method.to_owned(), target: target.to_owned(), headers, body: body.to_vec() };
        Ok((request, after))
    }
}

fn request_line(line: &str) -> Option<(&str, &str)> {
    let mut words = line.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    let is_method = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase());
    let is_request =
        is_method && target.starts_with('/') && version.starts_with("HTTP/") && words.next().is_none();
    is_request.then_some((method, target))
}

fn split_body<'a>(rest: &'a [u8], headers: &[(String, String)]) -> (&'a [u8], &'a [u8]) {
    let all = (rest, &rest[rest.len()..]);
    let length = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let Some(length) = length.and_then(|(_, value)| value.parse::<usize>().ok()) else { return all };
    let Some((body, after)) = rest.split_at_checked(length) else { return all };
    let line_ends = after.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let after = &after[line_ends..];
    let mut lines = Lines { rest: after, number: 0 };
    let next_begins = lines.next().ok().flatten().is_some_and(|line| request_line(line).is_some());
    if after.is_empty() || next_begins { (body, after) } else { all }
}

struct Lines<'a> {
    rest: &'a [u8],
    number: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Result<Option<&'a str>, CaptureError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        self.number += 1;
        let end = self.rest.iter().position(|byte| *byte == b'\n');
        let (line, rest) = match end {
            Some(end) => (&self.rest[..end], &self.rest[end + 1..]),
            None => (self.rest, &[][..]),
        };
        self.rest = rest;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        std::str::from_utf8(line).map(Some).map_err(|_| CaptureError::NotText { line: self.number })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bodies(capture: &[u8]) -> Vec<Vec<u8>> {
        CapturedRequest::read_all(capture).unwrap().into_iter().map(|request| request.body).collect()
    }

    #[test]
    fn reads_either_line_end_and_keeps_the_body_byte_for_byte() {
        for end in ["\n", "\r\n"] {
            let head = ["POST /a?b=c HTTP/1.1", "X-One:  1 ", "x-one: 2", "", ""].join(end);
            let capture = [head.as_bytes(), b"\xff\r\n\r\n\n"].concat();
            let read = CapturedRequest::read_all(&capture).unwrap();
            assert_eq!((read[0].method.as_str(), read[0].target.as_str()), ("POST", "/a?b=c"));
            assert_eq!(read[0].headers, [("X-One".into(), "1".into()), ("x-one".into(), "2".into())]);
            assert_eq!(read[0].body, b"\xff\r\n\r\n\n");
        }
    }

    #[test]
    fn content_length_ends_a_body_before_the_next_request_or_an_editors_line_end() {
        let one = b"POST /a HTTP/1.1\nContent-Length: 2\n\n{}";
        assert_eq!(bodies(one), [b"{}"]);
        assert_eq!(bodies(&[&one[..], b"\n"].concat()), [b"{}"]);
        assert_eq!(bodies(&[&one[..], b"\n", one].concat()), [b"{}", b"{}"]);
        assert_eq!(bodies(&[&one[..], b"x"].concat()), [b"{}x"], "a changed body is judged as it is");
        assert_eq!(bodies(&one[..one.len() - 1]), [b"{"], "a truncated body is judged as it is");
        assert_eq!(bodies(b"POST /a HTTP/1.1\n\n{}\n"), [b"{}\n"]);
        assert_eq!(bodies(b"POST /a HTTP/1.1"), [b""]);
    }

    #[test]
    fn says_which_line_is_wrong() {
        let check = |capture: &[u8], expected| {
            assert_eq!(CapturedRequest::read_all(capture).err(), Some(expected));
        };
        check(b"", CaptureError::RequestLine);
        check(b"{\"json\":1}", CaptureError::RequestLine);
        check(b"POST /a HTTP/1.1\na: b\nnonsense\n\n", CaptureError::Header { line: 3 });
        check(b"POST /a HTTP/1.1\n\xff: b\n\n", CaptureError::NotText { line: 2 });
    }
}
