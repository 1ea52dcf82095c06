//! Certificates for servers, made by openssl.

use crate::error::Doing;
use crate::{Host, Result};
use std::fs;
use std::path::PathBuf;

const SETTINGS: &str = "
[ca]
default_ca = lab
[lab]
database = DIRECTORY/index
serial = DIRECTORY/serial
unique_subject = no
default_md = sha256
policy = any
copy_extensions = copy
[any]
commonName = supplied
";

/// A private key that is quickly made.
const KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";

/// A certificate authority.
#[derive(Debug)]
pub struct Authority {
    directory: PathBuf,
}

/// A certificate and its key, as files in PEM.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The certificate.
    pub file: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Authority {
    /// An authority by the name of `name`, whose files are in a directory of that name.
    ///
    /// # Errors
    /// openssl failed.
    pub fn new(name: &str) -> Result<Self> {
        let directory = Host::new(name).directory()?;
        let path = directory.display().to_string();
        let write = |name: &str, text: &str| {
            fs::write(directory.join(name), text).doing(format!("writing to {path}"))
        };
        write("settings", &SETTINGS.replace("DIRECTORY", &path))?;
        write("index", "")?;
        let authority = Self { directory };
        authority.self_signed("authority", name)?;
        Ok(authority)
    }

    /// The authority's own certificate.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.path("authority.pem")
    }

    /// A certificate for `name`, valid for a day from now on.
    ///
    /// # Errors
    /// openssl failed.
    pub fn certificate(&self, name: &str) -> Result<Certificate> {
        self.sign(name, name, "-days 1")
    }

    /// One that was valid in the year 2020.
    ///
    /// # Errors
    /// openssl failed.
    pub fn expired(&self, name: &str) -> Result<Certificate> {
        self.sign("expired", name, "-startdate 20200101000000Z -enddate 20201231000000Z")
    }

    /// One for `name` that is not of this authority, but signed by itself.
    ///
    /// # Errors
    /// openssl failed.
    pub fn self_signed(&self, file: &str, name: &str) -> Result<Certificate> {
        let made = self.made(file);
        let (key, pem) = (made.key.display(), made.file.display());
        openssl(&format!(
            "req -x509 {KEY} -days 1 -subj /CN={name} -addext subjectAltName=DNS:{name} -keyout {key} -out {pem}"
        ))?;
        Ok(made)
    }

    fn sign(&self, file: &str, name: &str, validity: &str) -> Result<Certificate> {
        let made = self.made(file);
        let (key, pem, request) = (made.key.display(), made.file.display(), self.path("request"));
        openssl(&format!(
            "req {KEY} -subj /CN={name} -addext subjectAltName=DNS:{name} -keyout {key} -out {}",
            request.display()
        ))?;
        openssl(&format!(
            "ca -batch -notext -create_serial -config {} -cert {} -keyfile {} -outdir {} {validity} -in {} -out {pem}",
            self.path("settings").display(),
            self.file().display(),
            self.path("authority.key").display(),
            self.directory.display(),
            request.display()
        ))?;
        Ok(made)
    }

    fn made(&self, file: &str) -> Certificate {
        Certificate { file: self.path(&format!("{file}.pem")), key: self.path(&format!("{file}.key")) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

fn openssl(arguments: &str) -> Result<()> {
    Host::sandbox().run(&format!("openssl {arguments}")).map(drop)
}
