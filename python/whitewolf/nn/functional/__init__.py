"""Functions under PyTorch's names, argument orders and defaults: thin covers of the ops."""

from ...ops.conv import conv1d, conv2d, conv_transpose2d
from .activation import elu, gelu, leaky_relu, relu, sigmoid, silu, softplus, tanh
from .attention import scaled_dot_product_attention
from .dropout import dropout, dropout2d
from .embedding import embedding, embedding_bag
from .linear import linear
from .loss import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    l1_loss,
    mse_loss,
    nll_loss,
    smooth_l1_loss,
)
from .norm import batch_norm, group_norm, instance_norm, layer_norm, local_response_norm, rms_norm
from .pooling import adaptive_avg_pool2d, avg_pool1d, avg_pool2d, max_pool1d, max_pool2d
from .shape import normalize, one_hot, pad
from .softmax import log_softmax, softmax

__all__ = [
    "adaptive_avg_pool2d", "avg_pool1d", "avg_pool2d", "batch_norm", "binary_cross_entropy_with_logits", "conv1d", "conv2d", "conv_transpose2d",
    "cross_entropy", "dropout", "dropout2d", "elu", "embedding", "embedding_bag", "gelu", "group_norm", "instance_norm", "l1_loss", "layer_norm", "leaky_relu", "linear", "local_response_norm", "log_softmax", "max_pool1d",
    "max_pool2d", "mse_loss", "nll_loss", "normalize", "one_hot", "pad", "relu", "rms_norm", "scaled_dot_product_attention", "sigmoid", "silu", "smooth_l1_loss", "softmax",
    "softplus", "tanh",
]  # fmt: skip
