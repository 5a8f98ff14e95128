//! What the unsigned names of a signed form must not be used for.

use serde_json::{Map, Value};

use super::*;
use crate::callback::cipher::seal_aes_cbc;
use crate::callback::signature::sealed::salted_digest;

const KEY: &str = "0123456789abcdef";
const PAID: &str = "BANKTXNID=7&CURRENCY=INR&CUSTID=c&MID=m&ORDERID=A1&RESPCODE=01&STATUS=TXN_SUCCESS\
    &TXNAMOUNT=1.00&TXNDATE=2020-03-12+17%3A49%3A51.0&TXNID=99";

fn checksum(text: &[u8]) -> String {
    STANDARD.encode(seal_aes_cbc(KEY.as_bytes(), IV, &salted_digest(text, b"salt")).unwrap())
}

/// Sends `body` with the checksum of the genuine values.
fn send(body: &str, genuine: &str) -> Result<Verified, Rejection> {
    let form = Form::parse(genuine.as_bytes()).unwrap();
    let checksum = checksum(&signed_text(&form)).replace('+', "%2B");
    let body = format!("{body}&CHECKSUMHASH={checksum}").into_bytes();
    let keys = KeySet::new("k", Map::from_iter([("merchant_key".to_owned(), Value::from(KEY))]));
    verify(&RawCallback::new("a", "paytm", "POST", "/", [], body), &keys, UnixSeconds(0))
}

#[test]
fn values_are_not_taken_under_other_names() {
    assert!(send(PAID, PAID).is_ok());
    let with_own = format!("{PAID}&UDF_1=900000.00&UDF_2=2020-03-12&UDF_3=5");
    assert!(send(&with_own, &with_own).is_ok());
    let renamed = PAID.replace("TXNAMOUNT=1.00&TXNDATE=", "SX=1.00&SY=").replace("&TXNID=99", "&SZ=99")
        + "&TXNAMOUNT=900000.00&TXNDATE=2020-03-12&TXNID=5";
    let malformed = Some(Rejection::malformed("body"));
    assert_eq!(send(&renamed, &with_own).err(), malformed);
    let split = PAID.replace("CUSTID=c", "CUSTID=c%7CINR");
    assert_eq!(send(&split, &split).err(), malformed);
    let no_date = PAID.replace("TXNDATE=2020-03-12+17%3A49%3A51.0", "TXNDATE=99");
    assert_eq!(send(&no_date, &no_date).err(), malformed);
    let no_id = PAID.replace("&TXNID=99", "");
    assert_eq!(send(&no_id, &no_id).err(), malformed);
}

#[test]
fn the_text_null_counts_as_empty() {
    let null = format!("{PAID}&VPA=null");
    assert!(send(&null, &format!("{PAID}&VPA=")).is_ok());
    assert!(send(&format!("{PAID}&VPA=x"), &null).is_err());
}

#[test]
fn the_body_of_json_is_signed_as_it_is_written() {
    let keys = KeySet::new("k", Map::from_iter([("merchant_key".to_owned(), Value::from(KEY))]));
    let content = r#"{"txnId": "1",  "refundId":"2"}"#;
    let signature = checksum(content.as_bytes());
    for (body, genuine) in [
        (format!(r#"{{"head":{{"signature":"{signature}"}},"body":{content}}}"#), true),
        (format!(r#"{{"body": {content} , "head":{{"version":"v1","signature":"{signature}"}}}}"#), true),
        (format!(r#"{{"head":{{"signature":"{signature}"}},"body":{{"txnId":"1","refundId":"2"}}}}"#), false),
        (format!(r#"{{"head":{{"signature":"{signature}"}},"body":{content},"body":{content}}}"#), false),
        (format!(r#"{{"head":{{"signature":""}},"body":{content}}}"#), false),
        (format!(r#"{{"body":{content}}}"#), false),
        (content.to_owned(), false),
    ] {
        let raw = RawCallback::new("a", "paytm", "POST", "/", [], body.clone().into_bytes());
        let verified = verify(&raw, &keys, UnixSeconds(0));
        assert_eq!(verified.is_ok(), genuine, "{body}");
        if let Ok(verified) = verified {
            assert_eq!(verified.content(), content.as_bytes());
        }
    }
}
