"""What each command does, in a sentence."""

TRAINING = {
    "fit": "fits the line to readings beside a reference; without options, to the eleven that the package brings",
    "validate": "scores a checkpoint's line on readings held out for validation",
    "test": "scores a checkpoint's line on readings held out for the test",
    "predict": "writes a table with the estimate of each row, by a checkpoint",
}
LIGHT = {
    "apply": "corrects a table of new readings, by a calibration",
    "show": "prints a calibration",
    "export": "writes a calibration as text for firmware, home automation, a spreadsheet or a program",
    "report": "writes a calibration as a page of HTML that prints on A4",
    "compare": "tells what drifted between two calibrations, and whether the old corrections still hold",
    "inspect": "shows runs in the browser: starts TensorBoard, for this computer alone",
}
