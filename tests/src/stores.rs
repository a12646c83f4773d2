//! Object stores on this machine, for tests of the key store.

use std::{
    env,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};
use tempfile::TempDir;

/// Azurite's publicly known account.
const ACCOUNT: &str = "devstoreaccount1";
const ACCOUNT_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// A real object store on this machine, stopped on drop.
pub struct ObjectStoreServer {
    process: Child,
    kind: Kind,
    address: String,
    _data: TempDir,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Azure,
    S3,
    Google,
}

impl ObjectStoreServer {
    /// Starts Azurite, which emulates Azure Blob Storage.
    pub fn azurite() -> Self {
        let data = TempDir::new().expect("a temporary directory");
        let port = free_port();
        let mut azurite = Command::new("node");
        azurite
            .arg(node_modules().join("azurite/dist/src/blob/main.js"))
            .args(["--blobHost", "127.0.0.1", "--blobPort", &port])
            .args([
                "--silent",
                "--disableTelemetry",
                "--skipApiVersionCheck",
                "--location",
            ])
            .arg(data.path());
        let server = Self::start(azurite, Kind::Azure, &port, data);
        let made = Command::new("node")
            .current_dir(servers())
            .args([
                "container.mjs",
                &format!("http://{}/{ACCOUNT}", server.address),
                ACCOUNT,
                ACCOUNT_KEY,
            ])
            .status()
            .expect("node runs");
        assert!(made.success(), "the container is made");
        server
    }

    /// Starts moto, which emulates Amazon S3.
    pub fn moto() -> Self {
        Self::bucket(Kind::S3)
    }

    /// Starts moto for use as Google Cloud Storage: requests of its XML API equal those of S3,
    /// except for conditional headers, which moto doesn't support.
    pub fn moto_as_google() -> Self {
        Self::bucket(Kind::Google)
    }

    fn bucket(kind: Kind) -> Self {
        let port = free_port();
        let mut moto = Command::new(python("moto_server"));
        moto.args(["-H", "127.0.0.1", "-p", &port]);
        let data = TempDir::new().expect("a temporary directory");
        let server = Self::start(moto, kind, &port, data);
        server.send("PUT", "/keys", "");
        server
    }

    /// Sends a request to moto, which doesn't check signatures, and checks that it succeeds.
    pub fn send(&self, method: &str, path: &str, body: &str) {
        let mut stream = TcpStream::connect(&self.address).expect("moto listens");
        let length = body.len();
        let signed = "AWS4-HMAC-SHA256 Credential=test/20200101/us-east-1/s3/aws4_request";
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: s3\r\nconnection: close\r\ncontent-length: {length}\r\n\
             authorization: {signed}, SignedHeaders=host, Signature=0\r\n\r\n"
        );
        let request = head + body;
        stream.write_all(request.as_bytes()).expect("a request is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 20"), "{answer}");
    }

    fn start(mut command: Command, kind: Kind, port: &str, data: TempDir) -> Self {
        let process = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the object store starts");
        let mut server = Self {
            process,
            kind,
            address: format!("127.0.0.1:{port}"),
            _data: data,
        };
        while TcpStream::connect(&server.address).is_err() {
            let ended = server.process.try_wait().expect("the process can be asked");
            assert!(ended.is_none(), "the object store ended: {ended:?}");
            thread::sleep(Duration::from_millis(20));
        }
        server
    }

    /// Returns the address, `address:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns the URL for `--store`.
    pub fn url(&self) -> String {
        match self.kind {
            Kind::Azure => "az://keys/of/tests".to_owned(),
            Kind::S3 => "s3://keys/of/tests".to_owned(),
            Kind::Google => "gs://keys/of/tests".to_owned(),
        }
    }

    /// Returns the options for `--store-options` when the store is reached at `base`
    /// (`http://address:port`).
    pub fn options(&self, base: &str) -> Vec<String> {
        let options = match self.kind {
            Kind::Azure => vec![
                format!("azure_endpoint={base}/{ACCOUNT}"),
                format!("azure_storage_account_name={ACCOUNT}"),
                format!("azure_storage_account_key={ACCOUNT_KEY}"),
            ],
            Kind::S3 => vec![
                format!("aws_endpoint={base}"),
                "aws_region=us-east-1".to_owned(),
                "aws_access_key_id=test".to_owned(),
                "aws_secret_access_key=test-secret".to_owned(),
            ],
            Kind::Google => vec![
                format!("google_base_url={base}"),
                "google_bearer_token=test".to_owned(),
            ],
        };
        let http = match self.kind {
            Kind::Azure => "azure_allow_http=true",
            Kind::S3 => "aws_allow_http=true",
            Kind::Google => "google_allow_http=true",
        };
        options.into_iter().chain([http.to_owned()]).collect()
    }
}

impl Drop for ObjectStoreServer {
    fn drop(&mut self) {
        // Fails if it has ended already, which is fine.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns a program of the Python environment that xtask creates.
pub fn python(program: &str) -> PathBuf {
    let folder = env::var_os("TEST_PYTHON").expect("TEST_PYTHON: `cargo xtask test` makes the environment");
    Path::new(&folder).join("bin").join(program)
}

/// Returns the folder with the scripts and settings of the servers.
pub fn servers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("servers")
}

/// Returns the folder of the npm workspace's packages, Azurite among them.
fn node_modules() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../node_modules")
}

fn free_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port().to_string()
}
