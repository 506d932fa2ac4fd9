"""Noise of measured curves: how points scatter about their specimen's curve, and how that is learned."""
