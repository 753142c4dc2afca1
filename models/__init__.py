"""Networks and front ends in torch."""
