"""Trains conv3d_recogniser for a minute, into the folder that the command is given in: python -m examples.train_conv3d.

It learns from simulated clips of people who are not in the first 40 known clips, which it can be scored on then.
"""

import torch

from examples.conv3d_recogniser import WEIGHTS, Conv3dNet
from mexplain.evaluation.scorecard.own_network import clips_for

SCORED = 40


def train(steps=60):
    torch.manual_seed(0)
    net = Conv3dNet()
    known = tuple(clips_for(net.input_spec, 200))
    scored = {clip.person for clip in known[:SCORED]}
    taught = [clip for clip in known if clip.person not in scored]
    clips = net.input_spec.to_input(torch.stack([clip.input(torch.device("cpu")) for clip in taught]))
    labels = torch.tensor([clip.label for clip in taught])
    optimiser = torch.optim.Adam(net.parameters(), 3e-3, weight_decay=1e-3)
    for _ in range(steps):
        some = torch.randperm(len(clips))[:32]
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(net(clips[some]), labels[some]).backward()
        optimiser.step()
    torch.save(net.state_dict(), WEIGHTS)


if __name__ == "__main__":
    train()
