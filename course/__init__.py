"""The course: assignment masters, the builder of student editions and autograders, and the grader of a batch."""
