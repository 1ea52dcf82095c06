//! Words of DNS.

use crate::config::decode::choice;

choice! {
    /// Record types that can be asked for, by their names in the registry of IANA.
    RecordType {
        A = "A",
        Aaaa = "AAAA",
        Caa = "CAA",
        Cname = "CNAME",
        Dname = "DNAME",
        Dnskey = "DNSKEY",
        Ds = "DS",
        Hinfo = "HINFO",
        Https = "HTTPS",
        Mx = "MX",
        Naptr = "NAPTR",
        Ns = "NS",
        Ptr = "PTR",
        Soa = "SOA",
        Srv = "SRV",
        Sshfp = "SSHFP",
        Svcb = "SVCB",
        Tlsa = "TLSA",
        Txt = "TXT",
    }
}

choice! {
    /// Response codes, by the names of RFC 6895, section 2.3.
    Rcode {
        NoError = "NOERROR",
        FormErr = "FORMERR",
        ServFail = "SERVFAIL",
        NxDomain = "NXDOMAIN",
        NotImp = "NOTIMP",
        Refused = "REFUSED",
        YxDomain = "YXDOMAIN",
        YxRrset = "YXRRSET",
        NxRrset = "NXRRSET",
        NotAuth = "NOTAUTH",
        NotZone = "NOTZONE",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::decode::Words;
    use health::kind::dns::{record_type, response_code};

    #[test]
    fn probes_know_every_word() {
        for (word, _) in RecordType::WORDS {
            record_type(word).unwrap();
        }
        for (word, _) in Rcode::WORDS {
            response_code(word).unwrap();
        }
    }
}
