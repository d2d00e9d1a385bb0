import pytest

from thermofit_pl.cli.parse_errors import sentence

OPTIONS = ["--model.w", "--trainer.max_epochs", "--config"]
UNION = (
    'Parser key "{key}": Does not validate against any of the Union subtypes\nSubtypes: [{types}]\n'
    "Errors:\n  {errors}\n"
    "Given value type: <class 'str'>\nGiven value: {value}"
)


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("argument --trainer.max_epochs: expected one argument", "max_epochs: expected a value, but got none"),
        ("Unrecognized arguments: --trainer.max_epoch=3", "--trainer.max_epoch; did you mean --trainer.max_epochs?"),
        ("Unrecognized arguments: --nonsense 3", "there is no option --nonsense; --help lists them all"),
        ("Unrecognized arguments: stray", "expected an option, but got 'stray'"),
        ("Subcommand 'fit' does not accept option 'fit.model.w'", "top level, but got a level 'fit:'; take it out"),
        (
            "Subcommand 'fit' does not accept option 'modl.w'",
            "--config: there is no option modl.w; did you mean model.w",
        ),
        ("Problems parsing config: bad\n  indent", "--config: expected YAML such as 'model: {w: 1}', but got bad"),
        ("Unexpected config: - 1", "but got - 1"),
        ("Parser key \"config\": File does not exist: 'a.yaml'", "--config: there is no file a.yaml"),
        ("Parser key \"model\": Unable to load config 'a.yaml'", "--model: expected a configuration file"),
        ("Parser key \"model.w\": Expected a <class 'float'>. Got value: x", "--model.w: expected a number, but got x"),
        (
            UNION.format(
                key="a.b", types="", errors="- Expected a <class 'int'>\n- Expected a <class 'NoneType'>", value="2.5"
            ),
            "--a.b: expected a whole number or null, but got 2.5",
        ),
        (
            UNION.format(key="a.c", types="", errors="- Expected a typing.Literal['x', 'y']", value="z"),
            "--a.c: expected x or y, but got z",
        ),
        (
            UNION.format(
                key="optimizer",
                types="<class 'torch.optim.optimizer.Optimizer'>",
                errors="- Expected a dot import path",
                value="Adm",
            ),
            "--optimizer: expected the name of a class of Optimizer, but got Adm; did you mean Adam?",
        ),
        (
            UNION.format(
                key="trainer.logger",
                types="",
                errors="- Problem with given class_path 'a.CSVLogger': the following arguments are required: save_dir",
                value="x",
            ),
            "--trainer.logger.save_dir: expected a value, since CSVLogger needs one, but got none",
        ),
        (
            UNION.format(
                key="optimizer",
                types="",
                errors="- Problem with given class_path 'a.SGD': Option 'foo' is not accepted",
                value="x",
            ),
            "--optimizer: SGD has no option foo",
        ),
        ("something else\x1b[31m", "something else\\x1b[31m"),
    ],
)
def test_one_sentence_that_names_the_option(message: str, said: str) -> None:
    complaint = sentence(message, OPTIONS, ("fit", "test"))
    assert said in complaint
    assert "\n" not in complaint
    assert "class '" not in complaint
