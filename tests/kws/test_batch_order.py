import torch

from kws.batch_order import BatchOrder, derived_seed


def test_every_clip_is_seen_once_an_epoch_and_batches_cross_epochs():
    order = BatchOrder(clips=10, batch=4, seed=0)
    seen = torch.cat([order.rows(i) for i in range(10)]).tolist()
    assert len(seen) == 40
    for epoch in range(4):
        assert sorted(seen[10 * epoch : 10 * epoch + 10]) == list(range(10))
    assert seen[:10] != seen[10:20]
    assert BatchOrder(clips=10, batch=4, seed=0).rows(7).tolist() == seen[28:32]
    assert len(BatchOrder(clips=3, batch=8, seed=0).rows(0)) == 8


def test_seeds_of_different_purposes_and_numbers_differ():
    seeds = {
        derived_seed(seed, stream, number)
        for seed in (0, 1)
        for stream in ("weights", "epoch", "augmentation")
        for number in range(20)
    }
    assert len(seeds) == 120
    assert all(0 <= seed < 2**63 for seed in seeds)
