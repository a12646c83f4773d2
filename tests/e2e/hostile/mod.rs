//! Bad input: each piece gets the right error, and the server continues to score.

mod forge;
mod keys;
mod queries;
mod requests;
mod transport;

use base64::{Engine, engine::general_purpose::STANDARD};
use blindscore_protocol::{ids::KeyId, problem::ProblemCode};
use blindscore_tests::{Api, Server, User};
use serde_json::json;
use std::cell::RefCell;

/// A server, a user whose key is stored, and a stranger whose key isn't.
struct Bench {
    server: RefCell<Server>,
    api: Api,
    user: User,
    stranger: User,
    query: Vec<u8>,
}

type Family = fn(&Bench);

fn run(families: &[Family]) {
    let server = Server::start();
    let api = server.api();
    let bench = Bench {
        user: User::enrolled(&api),
        stranger: User::new(&api),
        server: RefCell::new(server),
        api,
        query: Vec::new(),
    };
    let bench = Bench {
        query: bench.user.query(1),
        ..bench
    };
    for family in families {
        family(&bench);
        bench.server.borrow_mut().assert_alive();
    }
    for shape in 0..4 {
        bench.user.assert_scores(&bench.api, shape);
    }
    assert!(
        !bench.server.borrow().log().contains("panicked"),
        "{}",
        bench.server.borrow().log()
    );
}

macro_rules! corpus {
    ($($module:ident::$family:ident)*) => {
        /// Every family of bad input.
        const CORPUS: &[Family] = &[$($module::$family),*];

        mod alone {
            $(#[test] fn $family() { super::run(&[super::$module::$family]); })*
        }
    };
}

corpus! {
    queries::cut_and_stretched_queries queries::queries_with_a_changed_byte queries::well_sealed_lies_in_queries
    keys::cut_and_stretched_keys keys::keys_with_a_changed_byte keys::well_sealed_lies_in_keys keys::ids_that_do_not_fit
    requests::json_of_the_wrong_shape requests::wrong_media_types requests::wrong_methods_and_paths
    transport::too_much transport::uploads_that_stop_half_way transport::bytes_that_are_not_http
}

#[test]
fn one_process_survives_the_whole_corpus() {
    run(CORPUS);
}

impl Bench {
    /// Sends bytes as the user's query and expects `code`.
    #[track_caller]
    fn refuse_query(&self, bytes: &[u8], code: ProblemCode, what: &str) {
        self.api.score(self.user.id(), bytes).expect_problem(code, what);
        if bytes.len() <= 2 * self.query.len() {
            let request = json!({ "key_id": self.user.id(), "data": [STANDARD.encode(bytes)] }).to_string();
            self.api
                .post_json("/score", request)
                .expect_problem(code, format!("{what}, in JSON"));
        }
    }

    /// Uploads bytes under their own hash and expects `code`; nothing may be stored.
    #[track_caller]
    fn refuse_key(&self, bytes: &[u8], code: ProblemCode, what: &str) {
        let id = KeyId::of(bytes);
        self.api.put_key(id, bytes).expect_problem(code, what);
        self.api.head(&format!("/v1/keys/{id}")).expect_status(404);
    }

    #[track_caller]
    fn assert_only_the_users_key_is_stored(&self) {
        assert_eq!(self.server.borrow().stored_files(), [self.user.id().to_string()]);
    }
}
