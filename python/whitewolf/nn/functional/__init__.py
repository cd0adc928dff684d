"""Functions under PyTorch's names, argument orders and defaults: thin covers of the ops."""

from ...ops.conv import conv1d, conv2d, conv_transpose2d
from .activation import elu, gelu, leaky_relu, relu, sigmoid, silu, softplus, tanh
from .attention import scaled_dot_product_attention
from .distance import cosine_similarity, pairwise_distance
from .dropout import dropout, dropout2d
from .embedding import embedding, embedding_bag
from .linear import linear
from .loss import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    gaussian_nll_loss,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    nll_loss,
    poisson_nll_loss,
    smooth_l1_loss,
)
from .margin_loss import (
    cosine_embedding_loss,
    hinge_embedding_loss,
    margin_ranking_loss,
    multi_margin_loss,
    multilabel_soft_margin_loss,
    soft_margin_loss,
    triplet_margin_loss,
)
from .norm import batch_norm, group_norm, instance_norm, layer_norm, local_response_norm, rms_norm
from .pooling import adaptive_avg_pool2d, avg_pool1d, avg_pool2d, max_pool1d, max_pool2d
from .shape import normalize, one_hot, pad
from .softmax import log_softmax, softmax

__all__ = [
    "adaptive_avg_pool2d", "avg_pool1d", "avg_pool2d", "batch_norm", "binary_cross_entropy", "binary_cross_entropy_with_logits",
    "conv1d", "conv2d", "conv_transpose2d", "cosine_embedding_loss", "cosine_similarity", "cross_entropy", "dropout", "dropout2d",
    "elu", "embedding", "embedding_bag", "gaussian_nll_loss", "gelu", "group_norm", "hinge_embedding_loss", "huber_loss",
    "instance_norm", "kl_div", "l1_loss", "layer_norm", "leaky_relu", "linear", "local_response_norm", "log_softmax",
    "margin_ranking_loss", "max_pool1d", "max_pool2d", "mse_loss", "multi_margin_loss", "multilabel_soft_margin_loss", "nll_loss",
    "normalize", "one_hot", "pad", "pairwise_distance", "poisson_nll_loss", "relu", "rms_norm", "scaled_dot_product_attention",
    "sigmoid", "silu", "smooth_l1_loss", "soft_margin_loss", "softmax", "softplus", "tanh", "triplet_margin_loss",
]  # fmt: skip
