//! What the log says of the certificate of a TLS client.

/// The serial number of a DER certificate, in decimal digits.
pub(super) fn serial_number(certificate: &[u8]) -> Option<String> {
    use der::Decode as _;
    let certificate = x509_cert::Certificate::from_der(certificate).ok()?;
    let bytes = certificate.tbs_certificate().serial_number().as_bytes();
    Some(decimal(bytes))
}

/// Big-endian bytes as a decimal number.
fn decimal(bytes: &[u8]) -> String {
    // Least significant digit first.
    let mut digits = vec![0_u16];
    for byte in bytes {
        let mut carry = u16::from(*byte);
        for digit in &mut digits {
            let value = *digit * 256 + carry;
            *digit = value % 10;
            carry = value / 10;
        }
        while carry > 0 {
            digits.push(carry % 10);
            carry /= 10;
        }
    }
    digits.iter().rev().map(u16::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_serial_numbers_of_any_length_in_decimal() {
        assert_eq!(decimal(&[]), "0");
        assert_eq!(decimal(&[0x00, 0xff]), "255");
        assert_eq!(
            decimal(&[1, 0, 0, 0, 0, 0, 0, 0, 0]),
            "18446744073709551616"
        );
    }
}
