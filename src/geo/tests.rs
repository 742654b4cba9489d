use super::*;

/// A value of the data section (MaxMind DB format 2.0, "Data Types"): maps, texts, arrays and numbers.
enum Datum<'a> {
    Map(Vec<(&'a str, Datum<'a>)>),
    Text(&'a str),
    Array(Vec<Datum<'a>>),
    U16(u16),
    U32(u32),
    U64(u64),
}

use Datum::{Array, Map, Text, U16, U32, U64};

fn write(out: &mut Vec<u8>, datum: &Datum<'_>) {
    let control = |out: &mut Vec<u8>, kind: u8, size: usize| {
        assert!(size < 29, "longer values are not needed here");
        let size = size as u8;
        if kind <= 7 {
            out.push(kind << 5 | size);
        } else {
            out.extend([size, kind - 7]);
        }
    };
    match datum {
        Text(text) => {
            control(out, 2, text.len());
            out.extend(text.as_bytes());
        }
        U16(number) => {
            control(out, 5, 2);
            out.extend(number.to_be_bytes());
        }
        U32(number) => {
            control(out, 6, 4);
            out.extend(number.to_be_bytes());
        }
        U64(number) => {
            control(out, 9, 8);
            out.extend(number.to_be_bytes());
        }
        Map(members) => {
            control(out, 7, members.len());
            for (name, value) in members {
                write(out, &Text(name));
                write(out, value);
            }
        }
        Array(items) => {
            control(out, 11, items.len());
            items.iter().for_each(|item| write(out, item));
        }
    }
}

fn english(name: &str) -> Datum<'_> {
    Map(vec![("names", Map(vec![("en", Text(name))]))])
}

/// A database of one network, `203.0.113.0/24`, with this place.
fn database(place: &Datum<'_>) -> Vec<u8> {
    const LENGTH: u32 = 24;
    let address = u32::from_be_bytes([203, 0, 113, 0]);
    let record = |out: &mut Vec<u8>, value: u32| out.extend(&value.to_be_bytes()[1..]);
    let mut out = Vec::new();
    for bit in 0..LENGTH {
        // Beside the path there is nothing, which the number of nodes says; the last node leads to the data.
        let next = if bit == LENGTH - 1 { LENGTH + 16 } else { bit + 1 };
        let (zero, one) = if address >> (31 - bit) & 1 == 0 {
            (next, LENGTH)
        } else {
            (LENGTH, next)
        };
        record(&mut out, zero);
        record(&mut out, one);
    }
    out.extend([0; 16]);
    write(&mut out, place);
    out.extend(b"\xab\xcd\xefMaxMind.com");
    write(
        &mut out,
        &Map(vec![
            ("node_count", U32(LENGTH)),
            ("record_size", U16(24)),
            ("ip_version", U16(4)),
            ("database_type", Text("Test-City")),
            ("languages", Array(vec![Text("en")])),
            ("binary_format_major_version", U16(2)),
            ("binary_format_minor_version", U16(0)),
            ("build_epoch", U64(1_700_000_000)),
            ("description", Map(vec![("en", Text("made by a test"))])),
        ]),
    );
    out
}

fn geo(bytes: &[u8]) -> Result<Geo, Misconfigured> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("places.mmdb"), bytes).unwrap();
    let settings = Settings {
        database: Some("places.mmdb".into()),
    };
    Geo::open(&settings, folder.path())
}

fn place(geo: &Geo, address: &str) -> Place {
    geo.place(address.parse().unwrap())
}

#[test]
fn a_known_address_has_a_region_and_a_city_and_others_have_none() {
    let known = Map(vec![
        ("city", english("Munich")),
        (
            "subdivisions",
            Array(vec![english("Bavaria"), english("Upper Bavaria")]),
        ),
    ]);
    let geo = geo(&database(&known)).unwrap();
    let munich = Place {
        region: Some("Bavaria".into()),
        city: Some("Munich".into()),
    };
    assert_eq!(place(&geo, "203.0.113.9"), munich);
    assert_eq!(place(&geo, "::ffff:203.0.113.9"), munich);
    for unknown in ["203.0.114.9", "127.0.0.1", "2001:db8::1"] {
        assert_eq!(place(&geo, unknown), Place::default(), "{unknown}");
    }
    assert_eq!(geo.description(), Some(("Test-City", 1_700_000_000)));
}

#[test]
fn what_the_database_does_not_say_is_unknown() {
    let country = geo(&database(&Map(vec![("country", english("Germany"))]))).unwrap();
    assert_eq!(place(&country, "203.0.113.9"), Place::default());
    let odd = geo(&database(&Text("no map"))).unwrap();
    assert_eq!(place(&odd, "203.0.113.9"), Place::default());
    assert_eq!(place(&Geo::default(), "203.0.113.9"), Place::default());
}

#[test]
fn a_file_that_is_no_database_is_found_at_the_start() {
    let wrong = geo(b"<html>").unwrap_err();
    assert_eq!(wrong.key, "geo.database");
    assert!(wrong.hint.unwrap().contains(".mmdb"));
}
