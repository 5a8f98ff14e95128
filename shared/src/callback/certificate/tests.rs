//! Names in old encodings, and limits.

use rcgen::{CertificateParams, CustomExtension, KeyPair, SerialNumber};

use super::*;

/// A name with one common name of this ASN.1 type.
fn named(tag: u8, text: &[u8]) -> Option<Vec<String>> {
    let wrapped = |tag: u8, content: Vec<u8>| {
        let length = u8::try_from(content.len()).expect("the name is short");
        [vec![tag, length], content].concat()
    };
    let attribute = [vec![0x06, 0x03, 0x55, 0x04, 0x03], wrapped(tag, text.to_vec())].concat();
    let der = wrapped(0x30, wrapped(0x31, wrapped(0x30, attribute)));
    let (rest, name) = X509Name::from_der(&der).expect("the name is well formed");
    assert!(rest.is_empty());
    common_names(&name)
}

#[test]
fn names_are_read_in_old_encodings_too() {
    let utf16: Vec<u8> = "041@银联".encode_utf16().flat_map(u16::to_be_bytes).collect();
    for (tag, text, expected) in [
        (0x0c, "041@银联".as_bytes(), Some("041@银联")),
        (0x13, b"041 Z12", Some("041 Z12")),
        (0x14, b"041@Z12@00040000:SIGN@1", Some("041@Z12@00040000:SIGN@1")),
        (0x14, b"caf\xe9", Some("caf\u{e9}")),
        (0x1e, &utf16, Some("041@银联")),
        (0x1e, b"odd", None),
        (0x1e, b"\xd8\x00", None),
        (0x04, b"octets", None),
    ] {
        assert_eq!(named(tag, text), expected.map(|name| vec![name.to_owned()]), "{tag:#x} {text:?}");
    }
}

#[test]
fn what_costs_more_than_it_has_bytes_is_limited() {
    let key = KeyPair::generate().unwrap();
    let made = |change: &dyn Fn(&mut CertificateParams)| {
        let mut parameters = CertificateParams::new(["a.example".to_owned()]).unwrap();
        change(&mut parameters);
        parameters.self_signed(&key).unwrap().der().to_vec()
    };
    let with_extensions = |count: u64| {
        made(&|parameters| {
            let extension = |number| CustomExtension::from_oid_content(&[1, 2, 3, number], vec![5, 0]);
            parameters.custom_extensions.extend((0..count).map(extension));
        })
    };
    let with_serial = |bytes: usize| {
        made(&|parameters| parameters.serial_number = Some(SerialNumber::from_slice(&vec![1; bytes])))
    };
    // The one extension that names the host is counted too.
    let limit = EXTENSIONS_MAX as u64 - 1;
    let long = made(&|parameters| {
        let extension = CustomExtension::from_oid_content(&[1, 2, 3], vec![0; CERTIFICATE_BYTES_MAX]);
        parameters.custom_extensions.push(extension);
    });
    for (der, is_read) in [
        (with_extensions(limit), true),
        (with_extensions(limit + 1), false),
        (with_serial(SERIAL_BYTES_MAX), true),
        (with_serial(SERIAL_BYTES_MAX + 1), false),
        (long, false),
    ] {
        assert_eq!(Certificate::from_der(&der).is_ok(), is_read, "{} bytes", der.len());
    }
}
