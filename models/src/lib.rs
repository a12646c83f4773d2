//! The models that every Blindscore server has, as model files. `README.md` says how they were
//! trained.

/// Multinomial logistic regression on MNIST.
pub const MNIST_LINEAR: &[u8] = include_bytes!("../mnist-linear.safetensors");
/// Projection network on MNIST.
pub const MNIST_NET: &[u8] = include_bytes!("../net/mnist-net.safetensors");
/// The same network, of which only the label leaves the server.
pub const MNIST_NET_LABEL: &[u8] = include_bytes!("../net/mnist-net-label.safetensors");
/// Projection network on MNIST with fewer projections.
pub const MNIST_NET_SMALL: &[u8] = include_bytes!("../net/mnist-net-small.safetensors");
/// Boosted trees on a made-up table of loan applications.
pub const LOAN_TREES: &[u8] = include_bytes!("../loans/loan-trees.safetensors");

/// All bundled models; the first is the default of `POST /score`.
pub const BUNDLED: [&[u8]; 5] = [
    MNIST_LINEAR,
    MNIST_NET,
    MNIST_NET_LABEL,
    MNIST_NET_SMALL,
    LOAN_TREES,
];
