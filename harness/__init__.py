"""Search compressed neural networks for tiny devices and measure every candidate on the device."""
