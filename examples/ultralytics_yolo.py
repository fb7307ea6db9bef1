"""Ultralytics' YOLO, for those who have it (AGPL): python examples/ultralytics_yolo.py

YOLO gives nothing but the loss of the batch, so BLS scores it. All of this stands at the top of a module,
since the model is pickled with its trainer's classes.
"""

from types import SimpleNamespace

from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.nn.tasks import DetectionModel

from bls_bench import BLS, DataLoader, InfoBatch

RUNNING = SimpleNamespace(handler=None)  # beside the model, which is copied (for its average) and pickled


class PrunedModel(DetectionModel):
    def loss(self, batch, preds=None):  # noqa: ANN001, ANN201
        losses, parts = super().loss(batch, preds)
        if self.training and RUNNING.handler is not None:
            # Box, class and distribution losses, each the batch's sum; update weights their total.
            total = losses.sum()
            losses = losses * (RUNNING.handler.update(total) / total.detach()).detach()  # 3
        return losses, parts


class PrunedTrainer(DetectionTrainer):
    def get_model(self, cfg=None, weights=None, verbose=True):  # noqa: ANN001, ANN201
        model = PrunedModel(cfg, nc=self.data["nc"], ch=self.data["channels"], verbose=verbose)
        if weights:
            model.load(weights)
        return model

    def get_dataloader(self, dataset_path, batch_size=16, rank=0, mode="train"):  # noqa: ANN001, ANN201
        if mode != "train":
            return super().get_dataloader(dataset_path, batch_size, rank, mode)
        data = self.build_dataset(dataset_path, mode, batch_size)
        data = RUNNING.handler = BLS(InfoBatch(data, num_epochs=self.epochs)).proxy()  # 1
        loader = DataLoader(  # 2
            data,
            sampler=data.sampler,
            batch_size=batch_size,
            collate_fn=data.dataset.collate_fn,
            num_workers=self.args.workers,
        )
        loader.reset = lambda: None  # what Ultralytics calls on its own loader when mosaics end
        return loader


if __name__ == "__main__":
    trainer = PrunedTrainer(overrides={"model": "yolo11n.yaml", "data": "coco8.yaml", "epochs": 10})
    trainer.train()
    print(f"pruned {RUNNING.handler.pruned_percent:.1f}%")
