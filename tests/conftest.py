"""One thread of torch: small products on contended threads wait far longer than they compute."""

import torch

torch.set_num_threads(1)
pytest_plugins = ["figures", "processes"]
