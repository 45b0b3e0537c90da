"""Make the ONNX files of this folder, as a user of torch would: one table in, probabilities out.

    pip install torch onnx onnxscript scikit-learn pandas
    python tests/torch/make.py

Four real measurements of breast tumours, and three of iris flowers; both sets come with scikit-learn.
"""

from pathlib import Path

import torch  # type: ignore[import-not-found]
from sklearn.datasets import load_breast_cancer, load_iris

HERE = Path(__file__).parent
BREAST = ["mean radius", "mean texture", "mean smoothness", "mean symmetry"]
IRIS = ["sepal length (cm)", "petal length (cm)", "petal width (cm)"]


class Scaled(torch.nn.Module):  # type: ignore[misc]
    """A small network over a table of raw values: what scales them is part of it, and so is the last squashing."""

    def __init__(self, table: torch.Tensor, body: torch.nn.Sequential) -> None:
        """Keep mean and deviation of the training rows."""
        super().__init__()
        self.register_buffer("mean", table.mean(0))
        self.register_buffer("deviation", table.std(0))
        self.body = body

    def forward(self, table: torch.Tensor) -> torch.Tensor:
        """Return probabilities, shape (batch, classes), or (batch, 1) of the positive class."""
        return self.body((table - self.mean) / self.deviation)


def trained(table: torch.Tensor, target: torch.Tensor, last: torch.nn.Module, width: int) -> Scaled:
    """A network of 8 hidden units."""
    model = Scaled(
        table,
        torch.nn.Sequential(torch.nn.Linear(table.shape[1], 8), torch.nn.Tanh(), torch.nn.Linear(8, width), last),
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        given = model(table)
        loss = (
            torch.nn.functional.binary_cross_entropy(given[:, 0], target.float())
            if width == 1
            else torch.nn.functional.nll_loss(given.log(), target)
        )
        loss.backward()
        optimizer.step()
    model.eval()
    return model


def export(model: torch.nn.Module, table: torch.Tensor, name: str) -> None:
    """Write an ONNX file whose first dimension is free."""
    rows = torch.export.Dim("batch")
    torch.onnx.export(
        model,
        (table[:2],),
        HERE / name,
        input_names=["table"],
        output_names=["probabilities"],
        dynamic_shapes=({0: rows},),
        external_data=False,
        dynamo=True,
    )


if __name__ == "__main__":
    torch.manual_seed(0)
    for load, columns, width, last, name in (
        (load_breast_cancer, BREAST, 1, torch.nn.Sigmoid(), "breast.onnx"),
        (load_iris, IRIS, 3, torch.nn.Softmax(dim=1), "iris.onnx"),
    ):
        data = load(as_frame=True)
        table = torch.tensor(data.data[columns].to_numpy(), dtype=torch.float32)
        target = torch.tensor(data.target.to_numpy())
        export(trained(table, target, last, width), table, name)
    model = trained(table, target, torch.nn.Softmax(dim=1), 3)
    model.body = model.body[:-1]
    export(model, table, "logits.onnx")
