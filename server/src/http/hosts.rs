//! Host names under which a server without tokens may be reached.
//!
//! Any site can make its own name resolve to 127.0.0.1 after its page has loaded (DNS rebinding).
//! To the browser, the page's requests to this server then are same-origin; only the name in `Host`
//! gives them away.

use super::error::ApiError;
use crate::tenants::Access;
use actix_web::{
    Error, ResponseError,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{header, uri::Authority},
    middleware::Next,
    web::Data,
};
use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

/// Name or address of the server, with an optional port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    name: String,
    port: Option<u16>,
}

/// The text isn't a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write a name or address, and a port if only that one is meant, as in scores.example or [::1]:8080")]
pub(crate) struct BadHost;

impl FromStr for Host {
    type Err = BadHost;

    fn from_str(text: &str) -> Result<Self, BadHost> {
        let authority: Authority = text.parse().map_err(|_| BadHost)?;
        let name = authority.host().trim_end_matches('.').to_ascii_lowercase();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
        // `*` and `user@host` would be mistaken for a wildcard and a URL's user.
        if name.is_empty() || text.contains('@') || !name.bytes().all(plain) {
            return Err(BadHost);
        }
        let port = match text.get(authority.host().len()..).ok_or(BadHost)? {
            "" => None,
            rest => Some(
                rest.strip_prefix(':')
                    .and_then(|port| port.parse().ok())
                    .ok_or(BadHost)?,
            ),
        };
        Ok(Self { name, port })
    }
}

impl Host {
    fn address(&self) -> Option<IpAddr> {
        match self.name.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            None => self.name.parse().ok(),
        }
    }

    fn is_loopback(&self) -> bool {
        let named = self.name == "localhost" || self.name.ends_with(".localhost");
        named || self.address().is_some_and(|address| address.is_loopback())
    }
}

/// Host names accepted by a server that no tokens protect.
#[derive(Clone, Debug)]
pub(crate) struct AllowedHosts {
    named: Vec<Host>,
    addresses: bool,
}

impl AllowedHosts {
    /// Accepts `named` hosts and loopback names, and also any IP address unless `bind` is loopback:
    /// no page can have an address of ours as its origin.
    pub(crate) fn new(named: Vec<Host>, bind: SocketAddr) -> Self {
        Self {
            named,
            addresses: !bind.ip().is_loopback(),
        }
    }

    fn allow(&self, host: &Host) -> bool {
        let named =
            |named: &Host| named.name == host.name && (named.port.is_none() || named.port == host.port);
        host.is_loopback() || self.addresses && host.address().is_some() || self.named.iter().any(named)
    }

    /// Checks the host in the request target, if there is one, and in each `Host` header.
    fn check(&self, request: &ServiceRequest) -> Result<(), ApiError> {
        let target = request.uri().authority().map(Authority::as_str);
        let headers = request.headers().get_all(header::HOST);
        for text in target
            .map(str::as_bytes)
            .into_iter()
            .chain(headers.map(|host| host.as_bytes()))
        {
            let text = String::from_utf8_lossy(text);
            if !text.parse().is_ok_and(|host| self.allow(&host)) {
                return Err(ApiError::HostNotAllowed(text.into_owned()));
            }
        }
        Ok(())
    }
}

/// Middleware for every request.
pub(super) async fn wrap(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let access = request.app_data::<Data<Access>>();
    if access.is_none_or(|access| matches!(***access, Access::Anyone))
        && let Some(hosts) = request.app_data::<Data<AllowedHosts>>()
        && let Err(error) = hosts.check(&request)
    {
        return Ok(request.into_response(error.error_response()));
    }
    Ok(next.call(request).await?.map_into_boxed_body())
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn allowed(hosts: &AllowedHosts, header: &str) -> bool {
        let request = TestRequest::default()
            .insert_header(("host", header))
            .to_srv_request();
        hosts.check(&request).is_ok()
    }

    #[test]
    fn only_names_that_a_page_cannot_have_are_answered() {
        let hosts = AllowedHosts::new(
            vec!["Scores.Example".parse().unwrap(), "b.example:81".parse().unwrap()],
            "127.0.0.1:80".parse().unwrap(),
        );
        for good in [
            "localhost",
            "LOCALHOST:8080",
            "a.localhost",
            "127.0.0.1:9",
            "127.1.2.3",
            "[::1]:80",
            "scores.example",
            "scores.example.:8443",
            "b.example:81",
        ] {
            assert!(allowed(&hosts, good), "{good}");
        }
        for bad in [
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "b.example",
            "b.example:82",
            "10.0.0.1",
            "[::2]",
            "",
            "x@localhost",
            "notlocalhost",
            "*",
        ] {
            assert!(!allowed(&hosts, bad), "{bad}");
        }
        let public = AllowedHosts::new(Vec::new(), "0.0.0.0:80".parse().unwrap());
        assert!(allowed(&public, "10.0.0.1:80") && allowed(&public, "[fe80::1]"));
        assert!(!allowed(&public, "evil.example"));
    }

    #[test]
    fn every_place_of_a_name_counts() {
        let hosts = AllowedHosts::new(Vec::new(), "127.0.0.1:80".parse().unwrap());
        let good = || TestRequest::default().insert_header(("host", "localhost"));
        assert!(hosts.check(&good().to_srv_request()).is_ok());
        let twice = good().append_header(("host", "evil.example")).to_srv_request();
        assert!(hosts.check(&twice).is_err());
        let absolute = good().uri("http://evil.example/metrics").to_srv_request();
        assert!(hosts.check(&absolute).is_err());
    }

    #[test]
    fn what_is_no_host_is_refused_at_the_start() {
        for bad in ["*", "*.example", "http://a.example", "a b", "a.example:x", ""] {
            assert!(bad.parse::<Host>().is_err(), "{bad}");
        }
    }
}
