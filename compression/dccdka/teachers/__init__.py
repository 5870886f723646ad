"""Whom a student learns from: networks at hand, stored logits, an ONNX file, or networks trained beside the student."""

from dccdka.teachers.networks import NetworkTeacher
from dccdka.teachers.onnx_file import OnnxOutput, OnnxTeacher
from dccdka.teachers.parallel import ParallelTeacher
from dccdka.teachers.stored import StoredLogits
from dccdka.teachers.teacher import FixedTeacher, Lessons, Teacher, TeacherError, Training

__all__ = [
    "FixedTeacher",
    "Lessons",
    "NetworkTeacher",
    "OnnxOutput",
    "OnnxTeacher",
    "ParallelTeacher",
    "StoredLogits",
    "Teacher",
    "TeacherError",
    "Training",
]
